use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use slipway_kernel::{ApiKeyId, Clock as _, ExecutionId, SigningKeyId, SystemClock};
use slipway_models::api_keys::Scope;
use slipway_models::functions::{Runtime, SigningScheme, StatsPeriod};

/// The meaning of the exit statuses, as `--help` tells it.
pub(crate) const EXIT_STATUSES: &str = "\
Exit status:
  0    done
  1    the function failed: its build, its handler or its deadline
  2    the command line is wrong
  3    not signed in, or the sign-in was refused
  4    not found
  5    the platform refused the request
  6    the platform cannot be reached, is overloaded or did not answer in time
  7    something on this machine is in the way, such as a file that cannot be read
  130  interrupted, or answered with no
  141  the reader of the output went away";

/// Deploys functions to a Slipway platform and runs them.
#[derive(Parser)]
#[command(name = "slipway", version, after_help = EXIT_STATUSES)]
pub(crate) struct Arguments {
    /// Print results, and errors, as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// The file that keeps the sign-in [default: slipway/session.json in the user's configuration]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) session: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Login(Login),
    /// End the sign-in, here and on the platform
    Logout,
    /// Show who is signed in, and where
    Whoami,
    Init(Init),
    Deploy(Deploy),
    Invoke(Invoke),
    Logs(Logs),
    Stats(Stats),
    /// List the functions
    List,
    /// List the versions of a function
    Versions {
        /// The function's name or id
        function: String,
    },
    /// Have an earlier version of a function answer its calls, at once and without a build
    Rollback {
        /// The function's name or id
        function: String,
        /// The version, as `slipway versions` lists it
        version: i32,
    },
    /// List the latest runs of a function
    Executions {
        /// The function's name or id
        function: String,
        /// Only those that nobody waited for and that failed for good
        #[arg(long)]
        dead_letter: bool,
    },
    /// Call a run off: one that is queued never begins, one that runs is ended
    Cancel {
        /// The run
        execution: ExecutionId,
    },
    /// Run again what a run with --async was given
    Replay {
        /// The run
        execution: ExecutionId,
        /// Wait for the new run's end
        #[arg(long)]
        wait: bool,
    },
    /// Set, list and remove what a function is told in secret
    #[command(subcommand)]
    Secrets(Secrets),
    /// Make, list and remove keys that sign calls of a function
    #[command(subcommand)]
    Keys(Keys),
    /// Make, list and remove keys that programs sign in with
    #[command(subcommand)]
    ApiKeys(ApiKeys),
    Delete(Delete),
}

/// Sign in
#[derive(Args)]
#[command(after_help = "The password is asked for on the terminal, or taken from --password-stdin or \
    $SLIPWAY_PASSWORD; never from an argument, which other users of the machine could see.")]
pub(crate) struct Login {
    /// The platform's URL [default: that of the last sign-in, or <http://127.0.0.1:8080>]
    #[arg(env = "SLIPWAY_URL")]
    pub(crate) url: Option<String>,

    /// The e-mail address or user name
    #[arg(long, short, env = "SLIPWAY_USER")]
    pub(crate) user: Option<String>,

    /// Read the password from the first line of standard input
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// Make a new function's files
#[derive(Args)]
pub(crate) struct Init {
    /// The language
    #[arg(value_parser = runtime_parser())]
    pub(crate) runtime: Runtime,

    /// The folder, which is made if it does not exist; its name is the function's
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
}

/// Pack a folder, build it on the platform and put it into service
#[derive(Args)]
#[command(
    after_help = "Left out are .git, .hg, .svn, .venv, __pycache__, node_modules and what a file named \
    .slipwayignore says, in the syntax of .gitignore."
)]
pub(crate) struct Deploy {
    /// The folder
    #[arg(default_value = ".", value_name = "FOLDER")]
    pub(crate) folder: PathBuf,

    /// The function's name [default: the folder's name]
    #[arg(long, short)]
    pub(crate) name: Option<String>,
}

/// Call a function and print its answer
#[derive(Args)]
pub(crate) struct Invoke {
    /// The function's name or id
    pub(crate) function: String,

    /// The body, JSON: as it is, @FILE, or - for standard input
    #[arg(long, short)]
    pub(crate) data: Option<String>,

    /// The method that the function sees [default: POST]
    #[arg(long, short = 'X')]
    pub(crate) method: Option<String>,

    /// The path that the function sees [default: /]
    #[arg(long)]
    pub(crate) path: Option<String>,

    /// A header that the function sees; may be given again
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,

    /// A parameter of the query; may be given again
    #[arg(long = "query", short, value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) query: Vec<(String, String)>,

    /// Do not wait for the answer: the platform keeps the call and tries it again where it fails
    #[arg(long = "async")]
    pub(crate) is_async: bool,

    /// With --async: wait for the run's end after all
    #[arg(long, requires = "is_async")]
    pub(crate) wait: bool,
}

/// Print what a function logged
#[derive(Args)]
pub(crate) struct Logs {
    /// The function's name or id
    pub(crate) function: String,

    /// Only the lines of this run
    #[arg(long, value_name = "ID")]
    pub(crate) execution: Option<ExecutionId>,

    /// Only newer lines: an age such as 90s, 10m, 2h or 7d, or a time (RFC 3339)
    #[arg(long, value_parser = since)]
    pub(crate) since: Option<DateTime<Utc>>,

    /// Only lines that hold this text, with the letters a to z in either case
    #[arg(long, short, value_name = "TEXT")]
    pub(crate) query: Option<String>,

    /// Go on: print lines as the function prints them, from --since or from now on, until Ctrl-C
    #[arg(long, short, conflicts_with = "limit")]
    pub(crate) follow: bool,

    /// At most this many lines: the newest
    #[arg(long, short = 'n', value_name = "LINES", default_value_t = 1_000)]
    pub(crate) limit: usize,
}

/// Show how often a function was called, how often it failed and how long it took
#[derive(Args)]
pub(crate) struct Stats {
    /// The function's name or id
    pub(crate) function: String,

    /// How far back
    #[arg(long, short, default_value = "24h", value_parser = period_parser())]
    pub(crate) period: StatsPeriod,
}

#[derive(Subcommand)]
pub(crate) enum Secrets {
    Set(SetSecrets),
    /// List the secrets of a function; their values are shown to nobody
    List {
        /// The function's name or id
        function: String,
    },
    /// Remove a secret of a function; its next call does not know it
    Remove {
        /// The function's name or id
        function: String,
        /// The secret's name
        name: String,
    },
}

/// Set a secret, or those of a file; the function's next call knows them
#[derive(Args)]
#[command(
    after_help = "The value is asked for on the terminal, or is all of standard input but for the line end at its \
    end; never an argument, which other users of the machine could see."
)]
pub(crate) struct SetSecrets {
    /// The function's name or id
    pub(crate) function: String,

    /// The secret's name: the variable that holds it, such as `STRIPE_KEY`
    #[arg(required_unless_present = "from_env_file")]
    pub(crate) name: Option<String>,

    /// Set those of a file of NAME=VALUE lines, or of standard input (-): # begins a comment line, and quotes around a
    /// value are taken off
    #[arg(long, value_name = "FILE", conflicts_with = "name")]
    pub(crate) from_env_file: Option<PathBuf>,
}

#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Make a key: prints its id and, this once, its secret
    Create {
        /// The function's name or id
        function: String,

        /// What to call it: at most 100 characters
        #[arg(long, short)]
        name: Option<String>,

        /// How calls are signed with it: HTTP Message Signatures, or the headers of `ContainerPub` clients
        #[arg(long, default_value = "rfc9421", value_parser = scheme_parser())]
        scheme: SigningScheme,
    },
    /// List the keys of a function, without their secrets
    List {
        /// The function's name or id
        function: String,
    },
    /// Remove a key: no call is let in for it from then on
    Remove {
        /// The function's name or id
        function: String,
        /// The key, as `slipway keys list` shows it
        key: SigningKeyId,
    },
}

#[derive(Subcommand)]
#[command(
    after_help = "A program shows the key in the header Authorization: Bearer, or X-Api-Key; this command \
    takes it from $SLIPWAY_TOKEN, in the place of a sign-in."
)]
pub(crate) enum ApiKeys {
    /// Make a key: prints, this once, the key itself
    Create {
        /// What to know it by
        name: String,

        /// What it may do, such as functions:write; may be given again
        #[arg(long = "scope", short, required = true, value_parser = scope_parser())]
        scopes: Vec<Scope>,

        /// The days until it ends, at most 366 [default: 90]
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=366))]
        days: Option<u16>,
    },
    /// List your keys, without the keys themselves
    List,
    /// Remove a key: it is refused from then on
    Remove {
        /// The key's id, as `slipway api-keys list` shows it
        key: ApiKeyId,
    },
}

/// Delete a function with its versions, runs and logs
#[derive(Args)]
pub(crate) struct Delete {
    /// The function's name or id
    pub(crate) function: String,

    /// Do not ask
    #[arg(long, short)]
    pub(crate) yes: bool,
}

fn runtime_parser() -> impl clap::builder::TypedValueParser<Value = Runtime> {
    PossibleValuesParser::new(Runtime::ALL.map(Runtime::as_str)).try_map(|name| {
        Runtime::ALL.into_iter().find(|runtime| runtime.as_str() == name).ok_or("unknown runtime")
    })
}

fn period_parser() -> impl clap::builder::TypedValueParser<Value = StatsPeriod> {
    PossibleValuesParser::new(StatsPeriod::ALL.map(StatsPeriod::as_str)).try_map(|name| {
        StatsPeriod::ALL.into_iter().find(|period| period.as_str() == name).ok_or("unknown period")
    })
}

fn scheme_parser() -> impl clap::builder::TypedValueParser<Value = SigningScheme> {
    PossibleValuesParser::new(SigningScheme::ALL.map(SigningScheme::as_str)).try_map(|name| {
        SigningScheme::ALL.into_iter().find(|scheme| scheme.as_str() == name).ok_or("unknown scheme")
    })
}

fn scope_parser() -> impl clap::builder::TypedValueParser<Value = Scope> {
    PossibleValuesParser::new(Scope::all().map(Scope::as_str))
        .try_map(|name| Scope::from_name(&name).ok_or("unknown scope"))
}

fn header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

fn parameter(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn since(text: &str) -> Result<DateTime<Utc>, &'static str> {
    const EXPECTED: &str =
        "expected an age such as 90s, 10m, 2h or 7d, or a time such as 2026-01-10T12:00:00Z";
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(time.to_utc());
    }
    let unit = text.chars().next_back().ok_or(EXPECTED)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 60 * 60,
        'd' => 24 * 60 * 60,
        _ => return Err(EXPECTED),
    };
    let count: u32 = text.strip_suffix(unit).unwrap_or_default().parse().map_err(|_| EXPECTED)?;
    let age = TimeDelta::try_seconds(i64::from(count) * seconds).ok_or(EXPECTED)?;
    SystemClock.now().checked_sub_signed(age).ok_or(EXPECTED)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn an_age_or_a_time_says_since_when() {
        assert_eq!(since("2026-01-10T13:00:00+01:00"), "2026-01-10T12:00:00Z".parse().map_err(|_| ""));
        let hour_ago = since("60m").unwrap();
        assert!((SystemClock.now() - hour_ago - TimeDelta::hours(1)).num_minutes().abs() < 5);
        for text in
            ["", "m", "10", "-5m", "1.5h", "4294967296s", "99999999999999d", "10mm", "ten minutes", "5µ"]
        {
            assert!(since(text).is_err(), "{text}");
        }
    }
}
