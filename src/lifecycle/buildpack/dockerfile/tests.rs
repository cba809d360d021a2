use super::*;
use crate::log::Level;
use proptest::prelude::*;
use std::io::Write;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Runs a check; what it found, behind the warnings that it gave.
fn outcome(check: impl FnOnce(&Log) -> Result<String>) -> String {
    let buffer = Buffer::default();
    let result = check(&Log::to(buffer.clone(), Level::Info, false));
    let mut text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
    text.push_str(&result.unwrap_or_else(|error| error.to_string()));
    text
}

fn check_of_run(text: &str, expected: &str) {
    let found = outcome(|log| {
        let RunImageChange { new_base, extends } = check_run(text, log)?;
        let base = new_base.unwrap_or_else(|| "same".into());
        Ok(format!("{base}{}", if extends { ", extended" } else { "" }))
    });
    assert_eq!(found, expected, "{text}");
}

fn check_of_build(text: &str, expected: &str) {
    let found = outcome(|log| check_build(text, log).map(|()| "ok".into()));
    assert_eq!(found, expected, "{text}");
}

#[test]
fn run_dockerfiles_switch_or_extend() {
    check_of_run("FROM ubuntu:20.04\n", "ubuntu:20.04");
    check_of_run("ARG base_image\nFROM ${base_image}\n", "same");
    check_of_run(
        "ARG base_image\nFROM ${base_image}\nRUN apt\n",
        "same, extended",
    );
    check_of_run("ARG v=1\nfrom a AS b\nuser root\n", "a, extended");
    check_of_run("FROM $base_image", "$base_image");
    check_of_run(
        "FROM a\nFROM b",
        "run.Dockerfile is not permitted to use multistage build",
    );
    check_of_run("ARG a", "run.Dockerfile should have at least one stage");
    check_of_run("", "run.Dockerfile should have at least one stage");
    check_of_run("RUN x", "expected FROM at line 1 column 1");
    check_of_run(
        "FROM a\nBOGUS x",
        "unknown instruction 'BOGUS' at line 2 column 1",
    );
}

#[test]
fn instructions_that_are_not_recommended_are_warned_of() {
    let text = "FROM a\nRUN <<EOF\nCMD in a heredoc\nEOF\n\nCMD x\nrun a && \\\n  b\nENTRYPOINT [\"x\"]\n# VOLUME\nVOLUME /x\nEXPOSE 80";
    check_of_run(
        text,
        "Warning: run.Dockerfile command CMD on line 6 is not recommended\n\
         Warning: run.Dockerfile command ENTRYPOINT on line 9 is not recommended\n\
         Warning: run.Dockerfile command VOLUME on line 11 is not recommended\n\
         Warning: run.Dockerfile command EXPOSE on line 12 is not recommended\n\
         a, extended",
    );
    let all = "ARG base_image\nFROM ${base_image}\nADD a b\nARG x\nCOPY a b\nENV a=b\nLABEL a=b\nRUN a\nSHELL [\"/bin/sh\"]\nUSER 1\nWORKDIR /w\n";
    check_of_build(all, "ok");
    let rest = "FROM a\nHEALTHCHECK NONE\nMAINTAINER me\nONBUILD RUN x\nSTOPSIGNAL 9\n";
    let expected = ["HEALTHCHECK", "MAINTAINER", "ONBUILD", "STOPSIGNAL"];
    let warnings = expected.iter().zip(2..).map(|(name, line)| {
        format!("Warning: run.Dockerfile command {name} on line {line} is not recommended\n")
    });
    check_of_run(
        rest,
        &format!("{}a, extended", warnings.collect::<String>()),
    );
}

#[test]
fn build_dockerfiles_have_a_fixed_beginning() {
    let missing_arg = "build.Dockerfile did not start with required ARG command";
    let missing_from = "build.Dockerfile did not contain required FROM ${base_image} command";
    check_of_build("ARG base_image\nFROM ${base_image}\n", "ok");
    check_of_build(
        "# syntax=docker/dockerfile:1\nARG base_image=x\nFROM ${base_image}\nRUN --mount=type=cache,target=/x y\nCOPY --from=x a b\n",
        "ok",
    );
    check_of_build("FROM ${base_image}\n", missing_arg);
    check_of_build("ARG a\nARG base_image\nFROM ${base_image}\n", missing_arg);
    check_of_build("ARG base\nFROM ${base_image}\n", missing_arg);
    check_of_build("ARG base_image\nFROM ubuntu\n", missing_from);
    check_of_build("ARG base_image\nFROM $base_image\n", missing_from);
    check_of_build(
        "ARG base_image",
        "build.Dockerfile should have at least one stage",
    );
    check_of_build(
        "ARG base_image\nFROM ${base_image}\nFROM x",
        "build.Dockerfile is not permitted to use multistage build",
    );
}

#[test]
fn forms_that_extensions_use_are_understood() {
    for instruction in [
        "RUN [\"a\", \"b\"]",
        "RUN a \\\n # comment\n && b",
        "ENV key some value",
        "ENV a=b c=\"d e\"",
        "LABEL \"a b\"=c d=e",
        "LABEL io.buildpacks.rebasable=true",
        "COPY --chown=1:2 a b /c/",
        "COPY <<EOF /x\ntext\nEOF",
        "COPY <<-\"A\" <<B /x/\n\t$a\n\tA\nb\nB",
        "RUN cat <<'EOF' | sh\necho\nEOF",
        "ADD --checksum=sha256:00 https://example.com/x /x",
        "USER ${user_id}:${group_id}",
        "ARG build_id=0",
        "ARG a=1 b=2",
        "RUN echo ${build_id}",
        "SHELL [\"/bin/bash\", \"-c\"]",
        "WORKDIR /a b",
        "RUN",
    ] {
        check_of_run(&format!("FROM a\n{instruction}"), "a, extended");
    }
}

proptest! {
    #[test]
    fn no_text_makes_a_panic(text in "(FROM|ARG|RUN|COPY|CMD|ONBUILD|HEALTHCHECK|<<|EOF|[ \n\\\\\"'\\[\\]=$`#-]|[a-zé]){0,40}") {
        let log = Log::to(std::io::sink(), Level::Info, false);
        let _ = check_run(&text, &log);
        let _ = check_build(&text, &log);
    }
}
