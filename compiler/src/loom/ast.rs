//! The syntax tree of a program. Comparison leaves places in the text out of account.

/// A place in the text: bytes from `start` up to `end`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// Behind the last byte.
    pub end: usize,
}

/// Places say nothing of what a program means.
impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Name {
    /// The name.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Span,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Expr {
    /// What it is.
    pub(super) kind: ExprKind,
    /// Where it stands.
    pub(super) span: Span,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExprKind {
    /// A number, as it is spelled.
    Number(String),
    /// A text in quotes.
    Text(String),
    /// A variable or function.
    Name(String),
    /// `[a, b, ...]`.
    List(Vec<Expr>),
    /// `model "file.onnx"`.
    Model(String),
    /// `-a`.
    Negate(Box<Expr>),
    /// Two operands and what joins them.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `f(a, name=b)`.
    Call(Name, Vec<Argument>),
    /// `a[i, j:k]`.
    Index(Box<Expr>, Vec<Position>),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Argument {
    /// The parameter, where it is named.
    pub(super) name: Option<Name>,
    /// The value.
    pub(super) value: Expr,
}

/// What stands for one axis within an index.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
    /// One element.
    At(Expr),
    /// `start:end:step`.
    Slice(Option<Expr>, Option<Expr>, Option<Expr>),
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BinaryOp {
    /// `==`.
    Equal,
    /// `!=`.
    NotEqual,
    /// `>=`.
    GreaterOrEqual,
    /// `<=`.
    LessOrEqual,
    /// `>`.
    Greater,
    /// `<`.
    Less,
    /// `+`.
    Add,
    /// `-`.
    Subtract,
    /// `*`.
    Multiply,
    /// `/`.
    Divide,
    /// `@`.
    MatMul,
    /// `^`.
    Power,
}

impl BinaryOp {
    /// All of them.
    pub(super) const ALL: [Self; 12] = [
        Self::Equal,
        Self::NotEqual,
        Self::GreaterOrEqual,
        Self::LessOrEqual,
        Self::Greater,
        Self::Less,
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::MatMul,
        Self::Power,
    ];

    /// As it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::MatMul => "@",
            Self::Power => "^",
        }
    }

    /// The operator that is written so.
    pub(super) fn of_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.symbol() == symbol)
    }
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Statement {
    /// What it is.
    pub(super) kind: StatementKind,
    /// Where it stands.
    pub(super) span: Span,
}

/// What a statement is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum StatementKind {
    /// `input x: encrypted[8] in 0..1`.
    Input {
        /// The name.
        name: Name,
        /// Whether it is declared as clear.
        clear: bool,
        /// The sizes of its axes; none for a single number.
        shape: Vec<Expr>,
        /// The ends of its range.
        range: Option<(Expr, Expr)>,
    },
    /// `let a, b = value`.
    Let(Vec<Name>, Expr),
    /// `a = value`, of a variable that there is.
    Assign(Name, Expr),
    /// `output a = value`, or `output a`.
    Output(Name, Option<Expr>),
    /// `fn f(a, b=1) = value`, or with a block.
    Function(Function),
    /// `for i in values { ... }`.
    For(Name, Expr, Vec<Statement>),
    /// `return a, b`.
    Return(Vec<Expr>),
}

/// A function of the program.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Function {
    /// The name.
    pub(super) name: Name,
    /// The parameters and their defaults.
    pub(super) parameters: Vec<(Name, Option<Expr>)>,
    /// What it computes.
    pub(super) body: Body,
}

/// What a function computes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    /// An expression.
    Expr(Expr),
    /// Statements, the last of which returns.
    Block(Vec<Statement>),
}

/// A comment: its text from `#` to the line's end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Comment {
    /// The text, `#` included.
    pub(super) text: String,
    /// Where it stands.
    pub(super) span: Span,
}

/// A program as it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Syntax {
    /// The statements in order.
    pub(super) statements: Vec<Statement>,
    /// The comments in order.
    pub(super) comments: Vec<Comment>,
}
