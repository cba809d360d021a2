use super::*;

/// The steps of a stage, one a line: line number, text, instruction.
fn check(text: &str, expected: &[(usize, &str, Instruction)]) {
    let file = parse(&format!("FROM x\n{text}")).unwrap();
    let found = file.stages.into_iter().flat_map(|stage| stage.steps);
    let expected = expected.iter().map(|(line, text, instruction)| Step {
        line: *line,
        text: (*text).to_owned(),
        instruction: instruction.clone(),
    });
    assert_eq!(
        found.collect::<Vec<_>>(),
        expected.collect::<Vec<_>>(),
        "{text}"
    );
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn run(command: &str, documents: Vec<HereDocument>) -> Instruction {
    Instruction::Run(Run {
        flags: Vec::new(),
        command: Words::Shell(command.to_owned()),
        documents,
    })
}

#[test]
fn instructions_keep_their_text_and_line() {
    check(
        "RUN a \\\n# comment\n\n  && b\n\n# more\nUSER u\n",
        &[
            (2, "RUN a   && b", run("a   && b", vec![])),
            (8, "USER u", Instruction::User("u".into())),
        ],
    );
    check(
        "run [\"a\", \"b\\n\"]",
        &[(
            2,
            "run [\"a\", \"b\\n\"]",
            Instruction::Run(Run {
                flags: vec![],
                command: Words::Exec(strings(&["a", "b\n"])),
                documents: vec![],
            }),
        )],
    );
    check(
        "EntryPoint  [ ]\nCMD []",
        &[
            (
                2,
                "EntryPoint  [ ]",
                Instruction::Entrypoint(Words::Exec(vec![])),
            ),
            (3, "CMD []", Instruction::Cmd(Words::Exec(vec![]))),
        ],
    );
    check(
        "ENV a=b c=\"d e\"\nENV old form\nARG x y=$z\nLABEL k=v",
        &[
            (
                2,
                "ENV a=b c=\"d e\"",
                Instruction::Env(vec![
                    ("a".into(), "b".into()),
                    ("c".into(), "\"d e\"".into()),
                ]),
            ),
            (
                3,
                "ENV old form",
                Instruction::Env(vec![("old".into(), "form".into())]),
            ),
            (
                4,
                "ARG x y=$z",
                Instruction::Arg(vec![("x".into(), None), ("y".into(), Some("$z".into()))]),
            ),
            (
                5,
                "LABEL k=v",
                Instruction::Label(vec![("k".into(), "v".into())]),
            ),
        ],
    );
    check(
        "ONBUILD  RUN x\nSHELL [\"a\", \"-c\"]\nEXPOSE 80 81/udp\nVOLUME [\"/a\"]\nVOLUME /b /c",
        &[
            (2, "ONBUILD  RUN x", Instruction::Onbuild("RUN x".into())),
            (
                3,
                "SHELL [\"a\", \"-c\"]",
                Instruction::Shell(strings(&["a", "-c"])),
            ),
            (
                4,
                "EXPOSE 80 81/udp",
                Instruction::Expose(strings(&["80", "81/udp"])),
            ),
            (5, "VOLUME [\"/a\"]", Instruction::Volume(strings(&["/a"]))),
            (
                6,
                "VOLUME /b /c",
                Instruction::Volume(strings(&["/b", "/c"])),
            ),
        ],
    );
}

#[test]
fn here_documents_belong_to_their_instruction() {
    let file = parse(
        "FROM x\nRUN <<A\n1\nA\nRUN cat <<B > /x; cat <<C\n2\nB\n3\nC\nCOPY <<D __D e /f\n4\nD\n",
    )
    .unwrap();
    let steps = &file.stages[0].steps;
    let contents = |step: &Step| match &step.instruction {
        Instruction::Run(run) => run.documents.iter().map(|d| d.content.clone()).collect(),
        Instruction::Copy(copy) => copy
            .sources
            .iter()
            .map(|source| match source {
                Source::Path(path) => path.clone(),
                Source::Document(document) => format!("={}", document.content),
            })
            .collect::<Vec<_>>(),
        _ => vec![],
    };
    let found: Vec<_> = steps
        .iter()
        .map(|step| (step.line, step.text.as_str(), contents(step).join(",")))
        .collect();
    assert_eq!(
        found,
        [
            (2, "RUN <<A", "1\n".to_owned()),
            (5, "RUN cat <<B > /x; cat <<C", "2\n,3\n".to_owned()),
            (10, "COPY <<D __D e /f", "=4\n,__D,e".to_owned()),
        ]
    );
}

#[test]
fn flags_come_apart() {
    check(
        "COPY --chown=1:2 --link a \"b c\" /d/",
        &[(
            2,
            "COPY --chown=1:2 --link a \"b c\" /d/",
            Instruction::Copy(Copy {
                flags: vec![
                    Flag {
                        name: "chown".into(),
                        value: Some("1:2".into()),
                    },
                    Flag {
                        name: "link".into(),
                        value: None,
                    },
                ],
                sources: ["a", "\"b", "c\""]
                    .map(|path| Source::Path(path.into()))
                    .to_vec(),
                destination: "/d/".into(),
            }),
        )],
    );
}

#[test]
fn mistakes_name_their_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
    };
    check("FROM x\n\nENV a", "line 3: ENV must have two arguments");
    check(
        "FROM x\nBOGUS",
        "unknown instruction 'BOGUS' at line 2 column 1",
    );
    check("FROM x\nRUN <<A\n", "here-document A does not end");
}
