//! A network or program, as read from a file.

use crate::data::PortSpec;
use crate::data::npz::Arrays;
use crate::{Error, files, onnx};
use cipherloom_compiler::loom::{self, Program, Resources, Trace};
use cipherloom_ir::Tensor;
use cipherloom_ir::tensor::Module;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A network that has been read and checked, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Model {
    module: Module,
    program: Option<Arc<Program>>,
    /// The files that it was read from, in order, each once; without external data of ONNX models.
    files: Vec<PathBuf>,
}

impl Model {
    /// Reads an ONNX model, or a program where the file's name ends in `.loom`.
    ///
    /// # Errors
    /// As [`Self::from_onnx`] and [`Self::from_loom`].
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        if path.extension().is_some_and(|e| e == "loom") {
            Self::from_loom(path)
        } else {
            Self::from_onnx(path)
        }
    }

    /// Reads an ONNX model.
    ///
    /// # Errors
    /// [`Error::Import`] for a file that is missing, broken or no ONNX model, with all nodes that cannot be imported.
    pub fn from_onnx(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::from_onnx_with(path, &onnx::Options::default())
    }

    /// [`Self::from_onnx`] with options, such as other outputs.
    ///
    /// # Errors
    /// As [`Self::from_onnx`], and an output that the model does not have.
    pub fn from_onnx_with(path: impl AsRef<Path>, options: &onnx::Options) -> Result<Self, Error> {
        Ok(Self {
            module: onnx::import_file_with(path.as_ref(), options)?,
            program: None,
            files: vec![path.as_ref().to_owned()],
        })
    }

    /// Reads a program in the language of `docs/loom.md`. The files that it names are looked for beside it.
    ///
    /// # Errors
    /// [`Error::Read`] for a file that is missing or no text, [`Error::Loom`] with all faults of the program.
    pub fn from_loom(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let source = read_program(path)?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned());
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut model = Self::of_program(&name.unwrap_or_default(), &source, &beside)?;
        model.files.insert(0, path.to_owned());
        Ok(model)
    }

    /// Reads a program from its text; `name` stands for it in errors, and the files that it names are looked for in a
    /// folder.
    ///
    /// # Errors
    /// [`Error::Loom`] with all faults of the program.
    pub fn of_program(name: &str, source: &str, folder: &Path) -> Result<Self, Error> {
        let files = Files {
            folder: folder.to_owned(),
            used: RefCell::default(),
        };
        let program = loom::read(name, source, &files)?;
        Ok(Self {
            module: program.module.clone(),
            program: Some(Arc::new(program)),
            files: files.used.into_inner(),
        })
    }

    /// Notes down a program that is written in Rust: operators and methods on values that stand for encrypted numbers.
    ///
    /// ```
    /// use cipherloom::{Compiler, Model};
    /// let model = Model::trace("dot_product", |t| {
    ///     let a = t.input("a", &[8], 1.0..=8.0);
    ///     let b = t.input("b", &[8], 1.0..=8.0);
    ///     t.output("product", a.dot(&b));
    ///     t.output("polynomial", 2.0 * a.pow(2.0) + 3.0 * &a + 7.0);
    /// })?;
    /// assert_eq!(model.inputs().len(), 2);
    /// # Ok::<(), cipherloom::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Loom`] with all faults and the lines of Rust that they are in.
    #[track_caller]
    pub fn trace(name: &str, define: impl FnOnce(&Trace)) -> Result<Self, Error> {
        let program = loom::trace(name, define)?;
        Ok(Self {
            module: program.module.clone(),
            program: Some(Arc::new(program)),
            files: vec![],
        })
    }

    /// The network at the tensor stage, unrewritten.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// All files that the model was read from: its own, arrays and networks that a program names, external data.
    ///
    /// # Errors
    /// [`Error::Import`] for an ONNX model whose file has changed and cannot be read any more.
    pub fn files(&self) -> Result<Vec<PathBuf>, Error> {
        let mut all = Vec::new();
        for path in &self.files {
            if path.extension().is_some_and(|e| e == "onnx") {
                all.extend(onnx::files(path)?);
            } else {
                all.push(path.clone());
            }
        }
        Ok(all)
    }

    /// The program, where the model is one.
    pub(crate) fn program(&self) -> Option<&Program> {
        self.program.as_deref()
    }

    /// What the network's inputs are, for [`crate::data::read_inputs`].
    pub fn inputs(&self) -> Vec<PortSpec> {
        PortSpec::of_module(&self.module)
    }
}

/// The text of a program.
///
/// # Errors
/// [`Error::Read`] for a file that is missing or no text.
pub fn read_program(path: &Path) -> Result<String, Error> {
    String::from_utf8(files::read(path)?).map_err(|_| Error::Read {
        path: path.into(),
        source: std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no UTF-8 text"),
    })
}

/// The files in a program's folder.
struct Files {
    folder: PathBuf,
    /// Those that the program names, in order, each once.
    used: RefCell<Vec<PathBuf>>,
}

impl Files {
    fn at(&self, path: &str) -> PathBuf {
        let path = self.folder.join(path);
        let mut used = self.used.borrow_mut();
        if !used.contains(&path) {
            used.push(path.clone());
        }
        path
    }
}

impl Resources for Files {
    fn array(&self, path: &str, name: Option<&str>) -> Result<Tensor, String> {
        let bytes = files::read(&self.at(path)).map_err(|e| e.to_string())?;
        let mut arrays = Arrays::open(&bytes, "array").map_err(|e| format!("{path}: {e}"))?;
        let names = arrays.names();
        let wanted = match (name, &names[..]) {
            (Some(name), _) if names.iter().any(|n| n == name) => name.to_owned(),
            (None, [only]) => only.clone(),
            (Some(name), _) => {
                return Err(format!("{path} has no array {name:?}; it has {names:?}"));
            }
            (None, _) => {
                return Err(format!(
                    "{path} holds several arrays, {names:?}: name one of them"
                ));
            }
        };
        arrays.read(&wanted).map_err(|e| format!("{path}: {e}"))
    }

    fn model(&self, path: &str) -> Result<Module, String> {
        let options = onnx::Options::default();
        onnx::import_file_with(&self.at(path), &options).map_err(|e| e.to_string())
    }
}
