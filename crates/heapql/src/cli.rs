//! The command line: the verbs and their arguments, as clap parses them. Flags that several verbs share are in `flags`, the values of
//! flags in `values`.
//!
//! Names and meanings are fixed, so that scripts can rely on them. The verbs are carried out by `verbs`. `main` and `completions` use it.

mod flags;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueHint, value_parser};
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

pub(crate) use flags::{ClusterFlags, DirArgument, EndpointFlags, ListenFlags, SelectionArguments};
pub(crate) use values::{Allocator, Api, ExportFormat, FlameFormat, LOOPBACK, ListenAddress, OutputFormat, TopView};
use values::{VALUES, interval, query};

const EXAMPLES: &str = "\
Examples:
  heapql demo                                 a small leaking program, recorded
  heapql run -- ./app args                    the same for yours
  heapql run --min 1 --max 1 -- ./app         record every allocation
  heapql top                                  what is live, and growing
  heapql flame -o heap.html                   what is live, as a picture
  heapql doctor ./app                         why nothing of it is recorded
  eval \"$(heapql env)\"; heapql serve          record whatever this shell starts

Environment:
  HEAPQL_DIR       where ledgers lie (default: $XDG_RUNTIME_DIR/heapql, else /dev/shm/heapql-UID)
  HEAPQL_CHILDREN  0: what a recorded program execs is not recorded (default: 1)
  HEAPQL_PASSWORD  of root@sys, for whoever asks a server, unless --password-file names a file
  HEAPQL_LOG       filter of the server's log on stderr, such as info or heapql_wire=debug
  NO_COLOR         no colour in the log";

/// Always-on, SQL-queryable heap sampling for any process
#[derive(Debug, Parser)]
#[command(name = "heapql", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Run a program, record it, and serve SQL about its heap while it runs
    Run(RunArguments),
    /// Record a built-in program that leaks
    Demo(DemoArguments),
    /// Serve SQL about every recorded process of this host, dead ones included
    Serve(ServeArguments),
    /// Print the environment that has programs recorded, for eval
    Env(EnvArguments),
    /// Ask in SQL: the running server, else the ledgers themselves
    Sql(SqlArguments),
    /// Watch what is live, and how fast it grows
    Top(TopArguments),
    /// Draw what is live as a flame graph: SVG, or a page that needs no network
    Flame(FlameArguments),
    /// Draw what changed between two moments: marks, or times
    Diff(DiffArguments),
    /// Write what is live as pprof or folded stacks, for other tools
    Export(ExportArguments),
    /// List the recorded processes
    Ps(PsArguments),
    /// Change system parameters, as ALTER SYSTEM SET does
    Set(SetArguments),
    /// Say why nothing is recorded: of this host, of a process, of a program
    Doctor(DoctorArguments),
    /// Print a completion script for a shell
    Completions(CompletionsArguments),
    /// The program that `demo` records
    #[command(hide = true)]
    DemoProgram,
}

impl Verb {
    /// The log level without HEAPQL_LOG.
    pub(crate) fn log_level(&self) -> LevelFilter {
        match self {
            Verb::Serve(_) => LevelFilter::INFO,
            _ => LevelFilter::WARN,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Least allocations between two samples (1 with --max 1: record all; 10000: record nothing)
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) min: Option<u32>,
    /// Most allocations between two samples
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) max: Option<u32>,
    /// Allocator of what is not sampled: system or mimalloc (faster; Debian's libmimalloc2.0)
    #[arg(long, value_name = "NAME", default_value = "system", hide_possible_values = true)]
    pub(crate) allocator: Allocator,
    /// Go on serving after the program has ended, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Print nothing but warnings and errors
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// The program and its arguments
    #[arg(value_name = "CMD", required = true, trailing_var_arg = true, value_hint = ValueHint::CommandWithArguments)]
    pub(crate) command: Vec<OsString>,
    // Last: what follows it would stand under its heading.
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// Where ledgers lie [default: HEAPQL_DIR]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
    /// Where parameters, history and the cluster's members are kept across restarts [default: $XDG_STATE_HOME/heapql]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) data_dir: Option<PathBuf>,
    /// TOML file with the same keys as these flags; a flag wins
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    // Last: what follows it would stand under its heading.
    #[command(flatten)]
    pub(crate) listen: ListenFlags,
}

#[derive(Debug, Args)]
pub(crate) struct EnvArguments {
    #[command(flatten)]
    pub(crate) dir: DirArgument,
    /// Print instead what a program includes (heapql.h) or imports (heapql.py) to label its memory
    #[arg(long, value_name = "LANG", value_enum, conflicts_with = "dir")]
    pub(crate) api: Option<Api>,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// One or several statements; without them they are read from stdin, a terminal gets a prompt
    // A statement may begin with a comment.
    #[arg(allow_hyphen_values = true, value_parser = query)]
    pub(crate) query: Option<String>,
    /// How rows are printed
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) format: OutputFormat,
    #[command(flatten)]
    pub(crate) ask: EndpointFlags,
}

#[derive(Debug, Args)]
pub(crate) struct FlameArguments {
    /// [default: html for a file of that name, else svg]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FlameFormat>,
    /// Quantity that widths show
    #[arg(long, value_parser = VALUES, default_value = VALUES[0])]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The earlier moment: a mark, a time in UTC, or how long ago ('10 minutes')
    pub(crate) from: String,
    /// The later one [default: now]
    pub(crate) to: Option<String>,
    /// [default: html for a file of that name, else svg]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FlameFormat>,
    /// Quantity that widths show (total_bytes is not kept over time)
    #[arg(long, value_parser = VALUES, default_value = VALUES[0])]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArguments {
    /// pprof: gzip, with all four values; folded: one line a stack
    #[arg(short, long, value_enum, default_value_t = ExportFormat::Pprof)]
    pub(crate) format: ExportFormat,
    /// The number of a folded stack
    #[arg(long, value_parser = VALUES, default_value = VALUES[0])]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) selection: SelectionArguments,
}

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// Only this process
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Between two looks: 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Groups that are listed first
    #[arg(long, value_enum, default_value_t = TopView::Functions)]
    pub(crate) by: TopView,
    /// Print one table and end, as without a terminal
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) ask: EndpointFlags,
}

#[derive(Debug, Args)]
pub(crate) struct PsArguments {
    /// How rows are printed
    #[arg(short, long, value_enum, default_value_t = OutputFormat::Table)]
    pub(crate) format: OutputFormat,
    #[command(flatten)]
    pub(crate) dir: DirArgument,
}

#[derive(Debug, Args)]
pub(crate) struct SetArguments {
    /// Such as _min_malloc_sample_interval=16; several are all checked before any is applied
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub(crate) assignments: Vec<String>,
    #[command(flatten)]
    pub(crate) ask: EndpointFlags,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// A program, or a script, that is to be recorded
    #[arg(value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    pub(crate) program: Option<OsString>,
    /// A process that is not recorded
    #[arg(long, value_name = "PID", conflicts_with = "program")]
    pub(crate) pid: Option<u32>,
    #[command(flatten)]
    pub(crate) dir: DirArgument,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    pub(crate) shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run(line: &[&str]) -> Result<RunArguments, clap::Error> {
        let words = ["heapql", "run"].iter().chain(line);
        Cli::try_parse_from(words).map(|cli| match cli.verb {
            Verb::Run(arguments) => arguments,
            other => panic!("parsed as {other:?}"),
        })
    }

    #[test]
    fn clap_finds_no_mistake_in_it() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_program_is_its_own() {
        for line in [&["--keep", "--", "ls", "--quiet", "--", "-l"][..], &["--keep", "ls", "--quiet", "--", "-l"]] {
            let arguments = run(line).expect("parsed");
            assert_eq!(arguments.command, ["ls", "--quiet", "--", "-l"]);
            assert!(arguments.keep && !arguments.quiet);
        }
    }

    #[test]
    fn a_query_may_begin_with_a_comment() {
        for line in
            [&["heapql", "sql", "-- one\nSELECT 1"][..], &["heapql", "sql", "-f", "csv", "--", "-- one\nSELECT 1"]]
        {
            let Verb::Sql(arguments) = Cli::try_parse_from(line).expect("parsed").verb else { panic!("{line:?}") };
            assert_eq!(arguments.query.as_deref(), Some("-- one\nSELECT 1"));
        }
        assert!(Cli::try_parse_from(["heapql", "sql", "--no-such-flag"]).is_err());
    }

    #[test]
    fn a_misspelt_flag_is_no_program() {
        assert!(run(&["--kep", "ls"]).is_err());
        assert!(run(&[]).is_err());
        assert!(run(&["--min", "0", "ls"]).is_err());
        assert!(run(&["--max", "10001", "ls"]).is_err());
    }
}
