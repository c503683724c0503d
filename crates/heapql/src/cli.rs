//! The command line: verbs and flags, as clap parses them.
//!
//! Names and meanings are fixed by the design, so that scripts can rely on them. No verb is carried out here (`verbs`).
//! Called by `main` and by `completions`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint, value_parser};
use clap_complete::Shell;
use tracing::level_filters::LevelFilter;

use crate::listen::ListenAddress;

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
    /// What is logged when HEAPQL_LOG does not say.
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

/// Where to listen, and who may come in.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Listen flags")]
pub(crate) struct ListenFlags {
    /// MySQL protocol: host:port, port 0 = the kernel picks, `off` = none [default: 127.0.0.1:2881]
    #[arg(long, value_name = "ADDR")]
    pub(crate) mysql: Option<ListenAddress>,
    /// PostgreSQL protocol [default: 127.0.0.1:2883]
    #[arg(long, value_name = "ADDR")]
    pub(crate) postgres: Option<ListenAddress>,
    /// HTTP: flame graphs, pprof, metrics, SQL [default: 127.0.0.1:2884]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<ListenAddress>,
    /// When all listeners are ready, write their addresses to this file, as JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) endpoints: Option<PathBuf>,
    /// File whose first line is the password of root@sys; without it only loopback may be bound
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) cluster: ClusterFlags,
}

/// The servers that answer together.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Cluster flags")]
pub(crate) struct ClusterFlags {
    /// Be one of several servers that answer as one: host:port for the others [default: off]
    #[arg(long, value_name = "ADDR")]
    pub(crate) cluster: Option<ListenAddress>,
    /// Another server of the cluster (repeatable); one that answers is enough to join
    #[arg(long, value_name = "ADDR")]
    pub(crate) peer: Vec<String>,
    /// File whose first line is the secret of the cluster; without it only loopback may be bound
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_secret_file: Option<PathBuf>,
    /// TLS between servers: the certificate, for the name heapql (PEM; all three or none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_key: Option<PathBuf>,
    /// The authority that every server's certificate is of
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) cluster_tls_ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DirArgument {
    /// Where ledgers lie [default: HEAPQL_DIR]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct EnvArguments {
    #[command(flatten)]
    pub(crate) dir: DirArgument,
    /// Print instead what a program includes (heapql.h) or imports (heapql.py) to label its memory
    #[arg(long, value_name = "LANG", value_enum, conflicts_with = "dir")]
    pub(crate) api: Option<Api>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allocator {
    System,
    Mimalloc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Api {
    C,
    Python,
}

/// Whom to ask.
#[derive(Debug, Args)]
pub(crate) struct AskFlags {
    /// Ask this server (host:port of its PostgreSQL protocol), not the one found; `off` = read the ledgers
    #[arg(long, value_name = "ADDR")]
    pub(crate) server: Option<ListenAddress>,
    /// File whose first line is the password of root@sys on that server
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) password_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) dir: DirArgument,
}

#[derive(Debug, Args)]
pub(crate) struct SqlArguments {
    /// One or several statements; without them they are read from stdin, a terminal gets a prompt
    // A statement may begin with a comment.
    #[arg(allow_hyphen_values = true, value_parser = query)]
    pub(crate) query: Option<String>,
    /// How rows are printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) ask: AskFlags,
}

/// Of which allocations, and where to.
#[derive(Debug, Args)]
pub(crate) struct Picked {
    /// Write to this file, not to stdout
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) output: Option<PathBuf>,
    /// Of this process only [default: all that live]
    #[arg(long)]
    pub(crate) pid: Option<i64>,
    /// Of this label only
    #[arg(long)]
    pub(crate) label: Option<String>,
    #[command(flatten)]
    pub(crate) ask: AskFlags,
}

const VALUES: [&str; 4] = ["live_bytes", "live_count", "total_bytes", "total_count"];

#[derive(Debug, Args)]
pub(crate) struct FlameArguments {
    /// [default: html for a file of that name, else svg]
    #[arg(short, long, value_enum)]
    pub(crate) format: Option<FlameFormat>,
    /// What widths are
    #[arg(long, value_parser = VALUES, default_value = VALUES[0])]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) picked: Picked,
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
    /// What widths are (total_bytes is not kept over time)
    #[arg(long, value_parser = VALUES, default_value = VALUES[0])]
    pub(crate) value: String,
    #[command(flatten)]
    pub(crate) picked: Picked,
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
    pub(crate) picked: Picked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlameFormat {
    Svg,
    Html,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportFormat {
    Pprof,
    Folded,
}

#[derive(Debug, Args)]
pub(crate) struct TopArguments {
    /// Only this process
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
    /// Between two looks: 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// What is listed first
    #[arg(long, value_enum, default_value_t = By::Functions)]
    pub(crate) by: By,
    /// Print one table and end, as without a terminal
    #[arg(long)]
    pub(crate) once: bool,
    #[command(flatten)]
    pub(crate) ask: AskFlags,
}

/// What `top` adds up live memory by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum By {
    Functions,
    Labels,
    Processes,
    Callsites,
}

/// A comment that is all of the query is a misspelt flag.
fn query(text: &str) -> Result<String, String> {
    if text.starts_with('-') && !text.contains(char::is_whitespace) {
        return Err("there is no such flag".to_owned());
    }
    Ok(text.to_owned())
}

/// A number and its unit; seconds without one.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time from 100ms to 1h, such as 500ms, 2s or 1m".to_owned();
    let digits = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let unit = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let interval = number.checked_mul(unit).map(Duration::from_millis).ok_or_else(wrong)?;
    if (Duration::from_millis(100)..=Duration::from_secs(3600)).contains(&interval) {
        Ok(interval)
    } else {
        Err(wrong())
    }
}

#[derive(Debug, Args)]
pub(crate) struct PsArguments {
    /// How rows are printed
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    #[command(flatten)]
    pub(crate) dir: DirArgument,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Table,
    Csv,
    Json,
    Md,
}

#[derive(Debug, Args)]
pub(crate) struct SetArguments {
    /// Such as _min_malloc_sample_interval=16; several are all checked before any is applied
    #[arg(value_name = "NAME=VALUE", required = true)]
    pub(crate) assignments: Vec<String>,
    #[command(flatten)]
    pub(crate) ask: AskFlags,
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
    fn intervals_have_units() {
        let millis = |text: &str| interval(text).ok().map(|interval| interval.as_millis());
        assert_eq!(
            (millis("500ms"), millis("2s"), millis("2"), millis("1m")),
            (Some(500), Some(2000), Some(2000), Some(60_000))
        );
        for wrong in ["", "s", "1d", "99ms", "2h", "-1s", "1.5s", "99999999999999999999h"] {
            assert_eq!(millis(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_misspelt_flag_is_no_program() {
        assert!(run(&["--kep", "ls"]).is_err());
        assert!(run(&[]).is_err());
        assert!(run(&["--min", "0", "ls"]).is_err());
        assert!(run(&["--max", "10001", "ls"]).is_err());
    }
}
