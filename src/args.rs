//! The command line, and nothing but the command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use gsl_runtime::extend::Extensions;
use std::path::PathBuf;

/// Graph machine learning from one file: schema, features, model, loss and training.
#[derive(Debug, Parser)]
#[command(name = "gsc", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
    /// Colour in messages.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto)]
    pub color: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Check, build the graph, train, evaluate, write what the file asks for.
    Run(RunArgs),
    /// Find every mistake in a file without running anything.
    Check(CheckArgs),
    /// Show what would be done: the plan, the passes, the defaults; or what a diagnostic means.
    Explain(ExplainArgs),
    /// Build the graph (or find that it is built already) and stop.
    Build(GraphArgs),
    /// Like `run`, but writes no predictions or embeddings.
    Train(RunArgs),
    /// Load the best checkpoint of a finished run and write what the file asks for, of its tables or of new ones.
    Infer(RunArgs),
    /// Run the trials of a sweep, and keep the best one as a run. Trials that have been run are not run again.
    Sweep(SweepArgs),
    /// Bring files into the canonical style.
    Fmt(FmtArgs),
    /// Show a graph: types, counts, degrees, features, labels, splits, sizes.
    Inspect(InspectArgs),
    /// Look at the tables in a folder and write a first .gsl file for them.
    New(NewArgs),
    /// Turn another tool's configuration into a `.gsl` file, and say what it cannot carry over.
    #[command(subcommand)]
    Import(Import),
}

impl Command {
    /// The same command in a program that adds something in Rust.
    pub fn with(mut self, extensions: &Extensions) -> Self {
        let place = match &mut self {
            Command::Run(args) | Command::Train(args) | Command::Infer(args) => &mut args.file.extensions,
            Command::Sweep(args) => &mut args.run.file.extensions,
            Command::Check(args) => &mut args.file.extensions,
            Command::Explain(args) => &mut args.extensions,
            Command::Build(args) => &mut args.file.extensions,
            Command::Inspect(args) => &mut args.graph.file.extensions,
            Command::Fmt(_) | Command::New(_) | Command::Import(_) => return self,
        };
        *place = extensions.clone();
        self
    }
}

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Of GraphStorm: the JSON that its graph is constructed from and the YAML that it is trained by.
    Graphstorm(GraphstormArgs),
}

#[derive(Debug, Args)]
pub struct GraphstormArgs {
    /// The construction JSON, of GConstruct or GSProcessing.
    pub schema: PathBuf,
    /// The training YAML; without it the experiment is the smallest that the labels allow.
    pub train: Option<PathBuf>,
    /// The file to write [default: standard output]. Paths in it are relative to its folder.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace the file if it is there.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Give every relation its opposite, named RELATION_rev: what `--add-reverse-edges` does.
    #[arg(long)]
    pub reverse: bool,
    /// The folder that relative paths in the JSON start from [default: the JSON's].
    #[arg(long, value_name = "DIR")]
    pub tables: Option<PathBuf>,
}

/// A file, one of its experiments, and the values of its parameters.
#[derive(Debug, Clone, Args)]
pub struct FileArgs {
    /// The `.gsl` file.
    pub file: PathBuf,
    /// The experiment, where the file has several.
    #[arg(short, long)]
    pub experiment: Option<String>,
    /// Another value for a `param` of the file: NAME=VALUE. May be repeated.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Folder for built graphs [default: .gsl beside the file].
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Threads that all ranks share [default: all cores].
    #[arg(short = 'j', long)]
    pub threads: Option<usize>,
    #[command(flatten)]
    pub building: BuildingArgs,
    /// One JSON document on standard output instead of text.
    #[arg(long)]
    pub json: bool,
    /// What the program adds in Rust.
    #[arg(skip)]
    pub extensions: Extensions,
}

/// What building a graph may take.
#[derive(Debug, Clone, Default, Args)]
pub struct BuildingArgs {
    /// Memory for building the graph, such as 512MB or 8GB [default: 60 % of what is free].
    #[arg(long, value_name = "SIZE", value_parser = memory)]
    pub memory: Option<u64>,
    /// Folder for what does not fit into memory while the graph is built [default: scratch in the cache folder].
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
}

/// A file and one of its graphs.
#[derive(Debug, Clone, Args)]
pub struct GraphArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// The graph, where the file has several; it needs no experiment.
    #[arg(short, long, conflicts_with = "experiment")]
    pub graph: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct InspectArgs {
    /// The file may also be a built graph (`.h5`).
    #[command(flatten)]
    pub graph: GraphArgs,
    /// Each relation of a family, not a line for all of them.
    #[arg(long)]
    pub all: bool,
    /// Write a page about the graph there, and print nothing.
    #[arg(long, value_name = "FILE.html", conflicts_with = "json")]
    pub html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct NewArgs {
    /// The folder of the tables; subfolders are looked into.
    pub folder: PathBuf,
    /// What is to be predicted. The file then has an experiment that runs.
    #[arg(long, value_name = "TABLE.COLUMN")]
    pub label: Option<String>,
    /// The file to write [default: FOLDER/NAME.gsl, named like the folder].
    #[arg(short, long, value_name = "FILE.gsl")]
    pub output: Option<PathBuf>,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}

fn memory(text: &str) -> Result<u64, String> {
    let bytes = gsl_runtime::construct::parse_bytes(text)?;
    match bytes < gsl_runtime::construct::LEAST_MEMORY {
        true => Err("at least 64MB are needed".into()),
        false => Ok(bytes),
    }
}

#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Folder for checkpoints, events and the report [default: out/EXPERIMENT beside the file].
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint. The result is the same, byte for byte, as if the run had never stopped.
    #[arg(long)]
    pub resume: bool,
    /// Seed of everything random, instead of the file's.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where the run of an experiment is that this one starts from [default: out/EXPERIMENT beside the file].
    #[arg(long = "from", value_name = "EXPERIMENT=DIR")]
    pub from: Vec<String>,
    /// Ranks, as threads of this process.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub ranks: u16,
    /// A checkpoint every so many batches too, not only at the end and after epochs (then at most one every 15 seconds).
    #[arg(long, value_name = "BATCHES")]
    pub checkpoint_every: Option<u32>,
    /// With `infer`: which of the models that were kept, 1 being the best.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub kept: u32,
    /// Every batch's loss in the event file.
    #[arg(long)]
    pub log_steps: bool,
    /// No progress on standard error: warnings and errors only.
    #[arg(short, long)]
    pub quiet: bool,
    /// No warnings either: one run of many, whose first has told them.
    #[arg(skip)]
    pub silent: bool,
    /// The folder in which those that results are written to are, if it is not the file's.
    #[arg(skip)]
    pub results: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Its `--out` is the sweep's folder [default: out/SWEEP beside the file].
    #[command(flatten)]
    pub run: RunArgs,
    /// The sweep, where the file has several.
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub file: FileArgs,
    /// Also compare the gradients of every layer, on a small random graph, with the reference backend and with finite
    /// differences.
    #[arg(long)]
    pub gradients: bool,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A `.gsl` file, or the code of a diagnostic such as gsl::schema::no_such_column.
    pub what: String,
    #[arg(short, long)]
    pub experiment: Option<String>,
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    #[command(flatten)]
    pub building: BuildingArgs,
    /// Each relation of a family, not a line for all of them.
    #[arg(long)]
    pub all: bool,
    /// The program before and after every pass.
    #[arg(long)]
    pub passes: bool,
    /// The experiment with every default written out, each with its origin.
    #[arg(long)]
    pub defaults: bool,
    /// The plan as JSON.
    #[arg(long)]
    pub json: bool,
    /// What the program adds in Rust.
    #[arg(skip)]
    pub extensions: Extensions,
}

#[derive(Debug, Args)]
pub struct FmtArgs {
    /// Files; `-` is standard input, written to standard output.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Change nothing; exit with 1 if a file is not in the canonical style.
    #[arg(long)]
    pub check: bool,
}
