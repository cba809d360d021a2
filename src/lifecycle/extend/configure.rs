//! Instructions that change nothing but the image's configuration.

use crate::dockerfile::{Flag, Instruction, Words};
use crate::duration;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::value::{Table, Value};
use lifecycle_image::oci::Config;

/// How variables are filled in, and what earlier instructions mean for this one.
pub(super) struct Change<'a> {
    /// One word.
    pub(super) word: &'a dyn Fn(&str) -> Result<String>,
    /// Several.
    pub(super) words: &'a dyn Fn(&str) -> Result<Vec<String>>,
    /// Whether the stage has a `CMD`.
    pub(super) has_command: bool,
}

impl Change<'_> {
    /// The configuration after the instruction.
    ///
    /// # Errors
    /// The instruction is malformed.
    pub(super) fn apply(&self, config: Config, instruction: &Instruction) -> Result<Config> {
        let word = |text: &String| (self.word)(text);
        match instruction {
            Instruction::Env(pairs) => self.pairs(config, pairs, |config, name, value| {
                config.with_env(name, value)
            }),
            Instruction::Label(pairs) => self.pairs(config, pairs, |config, name, value| {
                config.with_label(name, value)
            }),
            Instruction::User(user) => Ok(config.with_user(&word(user)?)),
            Instruction::Stopsignal(signal) => {
                let signal = word(signal)?;
                match is_signal(&signal) {
                    true => Ok(config.with_runtime("StopSignal", signal)),
                    false => Err(Error::other(format!("invalid signal '{signal}'"))),
                }
            }
            Instruction::Maintainer(name) => Ok(config.with_author(name)),
            Instruction::Shell(words) => Ok(config.with_runtime("Shell", words.clone())),
            Instruction::Cmd(words) => {
                let words = command(&config, words);
                Ok(config.with_runtime("Cmd", words))
            }
            Instruction::Entrypoint(words) => {
                let words = command(&config, words);
                let config = config.with_runtime("Entrypoint", words);
                // The base image's command was meant for another entrypoint.
                Ok(match self.has_command {
                    true => config,
                    false => config.with_runtime("Cmd", Value::Null),
                })
            }
            Instruction::Volume(paths) => {
                let paths: Vec<_> = paths.iter().map(word).collect::<Result<_>>()?;
                match paths.iter().any(|path| path.trim().is_empty()) {
                    true => Err(Error::other("VOLUME with an empty path")),
                    false => Ok(with_keys(config, "Volumes", paths)),
                }
            }
            Instruction::Expose(ports) => {
                let mut all = Vec::new();
                for text in ports {
                    for port in (self.words)(text)? {
                        all.extend(expose(&port)?);
                    }
                }
                Ok(with_keys(config, "ExposedPorts", all))
            }
            Instruction::Healthcheck { flags, test } => {
                let check = healthcheck(flags, test.as_ref())?;
                Ok(config.with_runtime("Healthcheck", check))
            }
            Instruction::Onbuild(trigger) => {
                let keyword = trigger.split_whitespace().next().unwrap_or_default();
                let forbidden = ["ONBUILD", "FROM", "MAINTAINER"];
                if forbidden
                    .iter()
                    .any(|word| keyword.eq_ignore_ascii_case(word))
                {
                    return Err(Error::other(format!(
                        "{keyword} isn't allowed as an ONBUILD trigger"
                    )));
                }
                let (config, mut triggers) = take_triggers(&config);
                triggers.push(trigger.clone());
                Ok(config.with_runtime("OnBuild", triggers))
            }
            _ => Err(Error::other("instruction is not supported")),
        }
    }

    /// Names and values, all expanded by what was in force before the instruction.
    fn pairs(
        &self,
        config: Config,
        pairs: &[(String, String)],
        put: impl Fn(Config, &str, &str) -> Config,
    ) -> Result<Config> {
        pairs.iter().try_fold(config, |config, (name, value)| {
            Ok(put(config, &(self.word)(name)?, &(self.word)(value)?))
        })
    }
}

/// The configuration without its `ONBUILD` triggers, and they.
pub(super) fn take_triggers(config: &Config) -> (Config, Vec<String>) {
    let triggers = config.runtime_value("OnBuild").and_then(Value::as_array);
    let triggers = triggers.unwrap_or_default().iter();
    let triggers = triggers
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    (
        config.clone().with_runtime("OnBuild", Value::Null),
        triggers,
    )
}

/// The words of a command; a shell's own in front of its text.
fn command(config: &Config, words: &Words) -> Vec<String> {
    match words {
        Words::Exec(words) => words.clone(),
        Words::Shell(text) => {
            let shell = config.runtime_value("Shell").and_then(Value::as_array);
            let shell = shell.unwrap_or_default().iter().filter_map(Value::as_str);
            let mut words: Vec<_> = shell.map(str::to_owned).collect();
            if words.is_empty() {
                words.extend(["/bin/sh".to_owned(), "-c".to_owned()]);
            }
            words.push(text.clone());
            words
        }
    }
}

/// With more keys in a map whose values say nothing.
fn with_keys(config: Config, name: &str, keys: Vec<String>) -> Config {
    let table = config.runtime_value(name).and_then(Value::as_table);
    let mut table = table.cloned().unwrap_or_default();
    keys.into_iter()
        .for_each(|key| table.insert(key, Table::new()));
    config.with_runtime(name, table)
}

/// `80`, `80/udp`, `80-82`: each port with its protocol.
fn expose(text: &str) -> Result<Vec<String>> {
    let malformed = || Error::other(format!("invalid port '{text}'"));
    let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let protocol = protocol.to_ascii_lowercase();
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let number = |text: &str| text.parse::<u16>().map_err(|_| malformed());
    let (first, last) = (number(first)?, number(last)?);
    match first <= last && matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        true => Ok((first..=last)
            .map(|port| format!("{port}/{protocol}"))
            .collect()),
        false => Err(malformed()),
    }
}

/// Linux' names of signals, without `SIG`.
const SIGNALS: &str = " ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS \
    TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ ";

/// A number, a name, or one of the real time signals `RTMIN+n` and `RTMAX-n`.
fn is_signal(text: &str) -> bool {
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |limit| move |text: &str| text.parse().is_ok_and(|offset: u8| offset <= limit);
    text.parse().is_ok_and(|number: u32| number > 0)
        || (!name.contains(' ') && SIGNALS.contains(&format!(" {name} ")))
        || matches!(name, "RTMIN" | "RTMAX")
        || name.strip_prefix("RTMIN+").is_some_and(offset(15))
        || name.strip_prefix("RTMAX-").is_some_and(offset(14))
}

fn healthcheck(flags: &[Flag], test: Option<&Words>) -> Result<Table> {
    let test = match test {
        None => vec!["NONE".to_owned()],
        Some(Words::Shell(text)) => vec!["CMD-SHELL".to_owned(), text.clone()],
        Some(Words::Exec(words)) => [vec!["CMD".to_owned()], words.clone()].concat(),
    };
    let mut table = Table::new().with("Test", test);
    let names = [
        ("interval", "Interval"),
        ("timeout", "Timeout"),
        ("start-period", "StartPeriod"),
        ("start-interval", "StartInterval"),
    ];
    if let Some(flag) = flags
        .iter()
        .find(|flag| flag.name != "retries" && names.iter().all(|(name, _)| *name != flag.name))
    {
        return Err(Error::other(format!("--{} is not supported", flag.name)));
    }
    let value = |name: &str| {
        let flag = flags.iter().find(|flag| flag.name == name)?;
        Some(flag.value.clone().unwrap_or_default())
    };
    for (name, key) in names {
        if let Some(text) = value(name) {
            let parsed = duration::parse(&text);
            let parsed =
                parsed.ok_or_else(|| Error::other(format!("--{name}={text} is no duration")))?;
            let nanoseconds = i64::try_from(parsed.as_nanos()).map_err(Error::other);
            table.insert(key, nanoseconds.context(|| format!("--{name}"))?);
        }
    }
    if let Some(text) = value("retries") {
        let retries = text
            .parse::<u32>()
            .map_err(|_| Error::other(format!("--retries={text} is no number")));
        table.insert("Retries", i64::from(retries?));
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dockerfile;

    /// The image's `config` as JSON after instructions, or the error. Its base has an environment and a command.
    fn check(instructions: &str, expected: &str) {
        let base = Config::default()
            .with_env("A", "b")
            .with_runtime("Cmd", vec!["base".to_owned()]);
        let file = dockerfile::parse(&format!("FROM x\n{instructions}")).unwrap();
        let mut has_command = false;
        let result = file.stages[0].steps.iter().try_fold(base, |config, step| {
            let change = Change {
                word: &|text| Ok(text.replace("$x", "y").replace('"', "")),
                words: &|text| Ok(vec![text.to_owned()]),
                has_command,
            };
            has_command |= matches!(step.instruction, Instruction::Cmd(_));
            change.apply(config, &step.instruction)
        });
        let found = match result {
            Ok(config) => {
                let json = config.to_json();
                let start = json.find("\"config\":").unwrap() + "\"config\":".len();
                let rest = json[start..].trim_end_matches('}');
                rest.trim_start_matches('{').to_owned()
            }
            Err(error) => error.to_string(),
        };
        let expected = expected.trim_end_matches('}');
        assert_eq!(found, expected, "{instructions}");
    }

    #[test]
    fn instructions_change_the_configuration() {
        let base = r#""Cmd":["base"],"#;
        let env = r#""Env":["A=b"]"#;
        let with_base = |rest: &str| format!("{base}{rest}");
        check("ENV A=c B=$x", &with_base(r#""Env":["A=c","B=y"]"#));
        check(
            "LABEL k=$x l=\"m n\"",
            &with_base(&format!(r#"{env},"Labels":{{"k":"y","l":"m n"}}"#)),
        );
        check("USER $x:1", &with_base(&format!(r#"{env},"User":"y:1""#)));
        check(
            "STOPSIGNAL SIGINT",
            &with_base(&format!(r#"{env},"StopSignal":"SIGINT""#)),
        );
        check(
            "STOPSIGNAL rtmin+3",
            &with_base(&format!(r#"{env},"StopSignal":"rtmin+3""#)),
        );
        check("CMD a b", &format!(r#""Cmd":["/bin/sh","-c","a b"],{env}"#));
        check("CMD [\"a\", \"$x\"]", &format!(r#""Cmd":["a","$x"],{env}"#));
        check(
            "SHELL [\"s\"]\nCMD a",
            &format!(r#""Cmd":["s","a"],{env},"Shell":["s"]"#),
        );
        check(
            "ENTRYPOINT [\"e\"]",
            &format!(r#""Entrypoint":["e"],{env}"#),
        );
        check(
            "CMD c\nENTRYPOINT [\"e\"]",
            &format!(r#""Cmd":["/bin/sh","-c","c"],"Entrypoint":["e"],{env}"#),
        );
        check(
            "VOLUME /a $x",
            &with_base(&format!(r#"{env},"Volumes":{{"/a":{{}},"y":{{}}}}"#)),
        );
        check(
            "EXPOSE 80 81/udp\nEXPOSE 90-91",
            &with_base(&format!(
                r#"{env},"ExposedPorts":{{"80/tcp":{{}},"81/udp":{{}},"90/tcp":{{}},"91/tcp":{{}}}}"#
            )),
        );
        check(
            "ONBUILD RUN a\nONBUILD USER b",
            &with_base(&format!(r#"{env},"OnBuild":["RUN a","USER b"]"#)),
        );
    }

    #[test]
    fn health_checks() {
        check(
            "HEALTHCHECK NONE",
            r#""Cmd":["base"],"Healthcheck":{"Test":["NONE"]},"Env":["A=b"]"#,
        );
        check(
            "HEALTHCHECK --interval=5s --retries=3 CMD true",
            r#""Cmd":["base"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":3},"Env":["A=b"]"#,
        );
    }

    #[test]
    fn mistakes_are_errors() {
        check("EXPOSE 99999", "invalid port '99999'");
        check("EXPOSE 80/icmp", "invalid port '80/icmp'");
        check("EXPOSE 9-8", "invalid port '9-8'");
        check("STOPSIGNAL SIGBOGUS", "invalid signal 'SIGBOGUS'");
        check("STOPSIGNAL 0", "invalid signal '0'");
        check("STOPSIGNAL RTMAX-15", "invalid signal 'RTMAX-15'");
        check(
            "HEALTHCHECK --interval=x CMD a",
            "--interval=x is no duration",
        );
        check("HEALTHCHECK --every=1s CMD a", "--every is not supported");
        check("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger");
    }
}
