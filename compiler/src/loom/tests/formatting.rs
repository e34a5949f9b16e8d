//! The formatter: what it prints means the same and is printed the same again.

use crate::loom::ast::{
    Argument, BinaryOp, Body, Expr, ExprKind, Function, Name, Position, Span, Statement,
    StatementKind, Syntax,
};
use crate::loom::{format, parse};
use proptest::prelude::*;

fn name(text: &str) -> Name {
    Name {
        text: text.into(),
        span: Span::default(),
    }
}

fn expr(kind: ExprKind) -> Expr {
    Expr {
        kind,
        span: Span::default(),
    }
}

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "x",
        "y",
        "weight",
        "inner",
        "output_1",
        "a_long_name_of_something",
    ])
    .prop_map(str::to_owned)
}

fn expressions() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["0", "1.5", "12", "1e-3"])
            .prop_map(|n| expr(ExprKind::Number(n.into()))),
        names().prop_map(|n| expr(ExprKind::Name(n))),
        Just(expr(ExprKind::Text("same".into()))),
        Just(expr(ExprKind::Model("net.onnx".into()))),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let optional = prop::option::of(inner.clone());
        let argument = (prop::option::of(names()), inner.clone()).prop_map(|(n, value)| Argument {
            name: n.map(|n| name(&n)),
            value,
        });
        let position = prop_oneof![
            inner.clone().prop_map(Position::At),
            (optional.clone(), optional.clone(), optional)
                .prop_map(|(a, b, c)| Position::Slice(a, b, c)),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6)
                .prop_map(|items| expr(ExprKind::List(items))),
            inner
                .clone()
                .prop_map(|v| expr(ExprKind::Negate(Box::new(v)))),
            (0..BinaryOp::ALL.len(), inner.clone(), inner.clone()).prop_map(|(op, a, b)| expr(
                ExprKind::Binary(BinaryOp::ALL[op], Box::new(a), Box::new(b))
            )),
            (names(), prop::collection::vec(argument, 0..5))
                .prop_map(|(f, a)| expr(ExprKind::Call(name(&f), a))),
            (inner, prop::collection::vec(position, 1..3))
                .prop_map(|(b, p)| expr(ExprKind::Index(Box::new(b), p))),
        ]
    })
}

fn statement(kind: StatementKind) -> Statement {
    Statement {
        kind,
        span: Span::default(),
    }
}

fn simple() -> impl Strategy<Value = Statement> {
    prop_oneof![
        (prop::collection::vec(names(), 1..3), expressions()).prop_map(|(n, e)| statement(
            StatementKind::Let(n.iter().map(|n| name(n)).collect(), e)
        )),
        (names(), expressions()).prop_map(|(n, e)| statement(StatementKind::Assign(name(&n), e))),
        prop::collection::vec(expressions(), 1..3)
            .prop_map(|e| statement(StatementKind::Return(e))),
    ]
}

fn blocks() -> impl Strategy<Value = Statement> {
    simple().prop_recursive(3, 10, 3, |inner| {
        (names(), expressions(), prop::collection::vec(inner, 0..3))
            .prop_map(|(n, e, b)| statement(StatementKind::For(name(&n), e, b)))
    })
}

fn programs() -> impl Strategy<Value = Syntax> {
    let input = (
        names(),
        any::<bool>(),
        prop::collection::vec(expressions(), 0..3),
        prop::option::of(sums()),
    )
        .prop_map(|(n, clear, shape, range)| {
            statement(StatementKind::Input {
                name: name(&n),
                clear,
                shape,
                range,
            })
        });
    let output = (names(), prop::option::of(expressions()))
        .prop_map(|(n, e)| statement(StatementKind::Output(name(&n), e)));
    let parameters = prop::collection::vec((names(), prop::option::of(expressions())), 0..3);
    let function = (
        names(),
        parameters,
        prop::collection::vec(blocks(), 0..3),
        expressions(),
        any::<bool>(),
    )
        .prop_map(|(n, parameters, block, value, short)| {
            statement(StatementKind::Function(Function {
                name: name(&n),
                parameters: parameters.into_iter().map(|(n, d)| (name(&n), d)).collect(),
                body: if short {
                    Body::Expr(value)
                } else {
                    Body::Block(block)
                },
            }))
        });
    let top = prop_oneof![input, output, function, blocks()];
    prop::collection::vec(top, 0..5).prop_map(|statements| Syntax {
        statements: statements
            .into_iter()
            .filter(|s| !matches!(s.kind, StatementKind::Return(_)))
            .collect(),
        comments: vec![],
    })
}

fn sums() -> impl Strategy<Value = (Expr, Expr)> {
    (expressions(), expressions())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_printed_reads_back(syntax in programs()) {
        let printed = format::print(&syntax, "");
        let (again, faults) = parse::parse(&printed);
        prop_assert!(faults.is_empty(), "{}\n{:?}", printed, faults);
        prop_assert_eq!(&again.statements, &syntax.statements, "{}", printed);
        prop_assert_eq!(format::print(&again, &printed), printed);
    }
}

#[test]
fn the_layout_is_this() {
    let source = "\n\n# First.\ninput   x:encrypted[2,3]in-1..1 # behind\n\n\n\nlet w=[[1,2,\n# within\n3],[4,5,(6)]] # last\nfn f( a,b=2 ){ # opens\nlet c=a*( b+1 )\n\n# inner\nfor i in range( 3 ){c=c-(-1)}\nreturn c }\noutput y=f( (x@transpose( w )),b=3 )[ 0 , 1: ]^2\nlet long = [1000001, 1000002, 1000003, 1000004, 1000005, 1000006, 1000007, 1000008, 1000009, 1000010, 1000011, 1000012]\nlet call = weighted_sum([a_long_name_of_something, another_long_name_of_something], [1, 2], [33333333, 44444444444])\n# end";
    let once = format::print(&parse::parse(source).0, source);
    insta::assert_snapshot!(once);
    assert_eq!(format::print(&parse::parse(&once).0, &once), once);
    assert_eq!(
        parse::parse(&once).0.statements,
        parse::parse(source).0.statements
    );
}

#[test]
fn examples_are_formatted() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut seen = 0;
    for folder in ["hefactory", "loom"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "loom") {
                let source = std::fs::read_to_string(&path).unwrap();
                let printed = format::print(&parse::parse(&source).0, &source);
                assert_eq!(printed, source, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 18);
}
