//! Dockerfiles, executed in roots of their own: what the extended run image gets. Needs root, like a container's extender.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod container;

use container::Container;

/// What Dockerfiles put into layers. Every row begins with the base's root directory, and ends with a user.
#[test]
fn files() {
    let rows: &[(&str, &[&str])] = &[
        ("RUN true", &[]),
        ("RUN echo hi > /f", &["f 644 0:0 hi"]),
        ("RUN echo $0 > /f", &["f 644 0:0 /bin/sh"]),
        ("RUN [\"touch\", \"/a b\"]", &["a b 644 0:0"]),
        (
            "SHELL [\"/bin/bash\", \"-c\"]\nRUN [[ a == a ]] && echo $0 > /f",
            &["f 644 0:0 /bin/bash"],
        ),
        (
            "RUN <<EOF\necho one > /f\necho two >> /f\nEOF",
            &["f 644 0:0 one,two"],
        ),
        (
            "RUN <<EOF\n#!/bin/bash\necho $BASH_VERSINFO > /f; echo x > /f\nEOF",
            &["f 644 0:0 x"],
        ),
        (
            "RUN cat <<A > /f && cat <<'B' >> /f\na $((1+1))\nA\n$b\nB",
            &["f 644 0:0 a 2,$b"],
        ),
        (
            "RUN mkdir -m 1777 /d; echo x > /s; chmod 4755 /s; mkdir -m 2750 /g",
            &["d 1777 0:0 /", "g 2750 0:0 /", "s 4755 0:0 x"],
        ),
        (
            "RUN rm /etc/base.conf",
            &["etc 755 0:0 /", "etc/.wh.base.conf 0 0:0"],
        ),
        ("RUN rm -r /data", &[".wh.data 0 0:0"]),
        (
            "RUN rm -r /data && mkdir /data && echo n > /data/n",
            &[
                "data 755 0:0 /",
                "data/n 644 0:0 n",
                "data/.wh.one 0 0:0",
                "data/.wh.sub 0 0:0",
            ],
        ),
        (
            "RUN rm -r /data && ln -s etc /data",
            &["data 777 0:0 -> etc"],
        ),
        (
            "RUN rm /link && mkdir /link && echo x > /link/x",
            &["link 755 0:0 /", "link/x 644 0:0 x"],
        ),
        ("RUN ln -sfn data /link", &["link 777 0:0 -> data"]),
        (
            "RUN ln /etc/base.conf /data/hard",
            &[
                "data 755 0:0 /",
                "data/hard 644 0:0 base",
                "etc 755 0:0 /",
                "etc/base.conf 644 0:0 = data/hard",
            ],
        ),
        (
            "RUN chown 7:8 /data/one",
            &["data 755 0:0 /", "data/one 644 7:8 1"],
        ),
        (
            "RUN chmod 600 /data/one",
            &["data 755 0:0 /", "data/one 600 0:0 1"],
        ),
        (
            "RUN printf 2 > /data/one; touch -d @1000 /data/one",
            &["data 755 0:0 /", "data/one 644 0:0 2"],
        ),
        (
            "RUN touch /tmp/x /run/y && rm /tmp/x",
            &["run 755 0:0 /", "run/y 644 0:0"],
        ),
        (
            "RUN touch /layers/x /workspace/y /platform/z /kaniko/k",
            &[],
        ),
        (
            "RUN mkfifo /p && touch /é",
            &["p 644 0:0 fifo", "é 644 0:0"],
        ),
        (
            "RUN (sleep 0.3; echo late > /late) & echo early > /early",
            &["early 644 0:0 early"],
        ),
        (
            "RUN setsid sh -c 'sleep 0.3; echo late > /late' & true",
            &[],
        ),
        (
            "RUN echo a > /a\nRUN cat /a > /b",
            &["a 644 0:0 a", "b 644 0:0 a"],
        ),
        (
            "RUN echo a > /a\nRUN rm /a",
            &["a 644 0:0 a", ".wh.a 0 0:0"],
        ),
        (
            "USER 1234\nRUN id -u > /tmp/u; id -G >> /tmp/u",
            &["tmp 1777 0:0 /", "tmp/u 644 1234:0 1234,0"],
        ),
        // Neither the environment nor the memory of the lifecycle is its to read.
        (
            "USER 1234\nRUN for f in environ mem maps; do cat /proc/$PPID/$f > /dev/null 2>&1 && exit 1; done; echo hidden > /tmp/h",
            &["tmp 1777 0:0 /", "tmp/h 644 1234:0 hidden"],
        ),
        (
            "USER 1234:55\nRUN id -G > /tmp/u",
            &["tmp 1777 0:0 /", "tmp/u 644 1234:55 55"],
        ),
        (
            "USER cnb\nRUN echo $HOME > /tmp/u; id -G >> /tmp/u",
            &["tmp 1777 0:0 /", "tmp/u 644 1000:1000 /home/cnb,1000 44"],
        ),
        (
            "WORKDIR /w\nRUN pwd > f",
            &["w 755 0:0 /", "w 755 0:0 /", "w/f 644 0:0 /w"],
        ),
        (
            "WORKDIR /w\nWORKDIR x\nCOPY a.txt .",
            &[
                "w 755 0:0 /",
                "w 755 0:0 /",
                "w/x 755 0:0 /",
                "w 755 0:0 /",
                "w/x 755 0:0 /",
                "w/x/a.txt 644 0:0 A",
            ],
        ),
        (
            "ENV X=1\nRUN echo $X-$PATH > /f",
            &["f 644 0:0 1-/usr/bin:/bin"],
        ),
        (
            "ARG a=1\nENV b=$a$a\nRUN echo $a $b > /f",
            &["f 644 0:0 1 11"],
        ),
        (
            "ARG given=no\nRUN echo $given > /f",
            &["f 644 0:0 from config"],
        ),
        (
            "ARG user_id\nARG group_id\nRUN echo $user_id $group_id > /f",
            &["f 644 0:0 1234 1000"],
        ),
        ("RUN echo [$user_id] > /f", &["f 644 0:0 []"]),
        ("ARG x=arg\nENV x=env\nRUN echo $x > /f", &["f 644 0:0 env"]),
        ("RUN echo $https_proxy > /f", &["f 644 0:0 http://proxy"]),
        ("RUN env | grep -c CNB_ > /f || true", &["f 644 0:0 0"]),
        ("COPY a.txt /", &["a.txt 644 0:0 A"]),
        (
            "COPY *.txt dir /c/",
            &[
                "c 755 0:0 /",
                "c/a.txt 644 0:0 A",
                "c/b.txt 600 0:0 B",
                "c/in 644 0:0 I",
            ],
        ),
        (
            "COPY . /c",
            &[
                "c 755 0:0 /",
                "c/a.txt 644 0:0 A",
                "c/b.txt 600 0:0 B",
                "c/dir 755 0:0 /",
                "c/dir/in 644 0:0 I",
            ],
        ),
        (
            "COPY --chown=cnb --chmod=640 a.txt /etc/n",
            &["etc 755 0:0 /", "etc/n 640 1000:1000 A"],
        ),
        (
            "COPY a.txt /link/a",
            &[
                "data 755 0:0 /",
                "data/sub 755 0:0 /",
                "data/sub/a 644 0:0 A",
            ],
        ),
        (
            "COPY <<F /c/\nhello $HOME ${x:-y}\nF",
            &["c 755 0:0 /", "c/F 644 0:0 hello  y"],
        ),
        (
            "ENV d=/e\nADD a.txt $d/",
            &["e 755 0:0 /", "e/a.txt 644 0:0 A"],
        ),
    ];
    let mut wrong = Vec::new();
    for (dockerfile, expected) in rows {
        let container = Container::new();
        let outcome = container.extend(&[&format!("USER root\n{dockerfile}\nUSER 1234:1000")]);
        let found = match outcome.code {
            Some(0) => container.added(),
            _ => vec![outcome.text],
        };
        if found != *expected {
            wrong.push(format!(
                "{dockerfile}\n  got:      {found:?}\n  expected: {expected:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn configuration() {
    let env = r#"["PATH=/usr/bin:/bin"]"#;
    let rows = [
        (
            "ENV A=1 B=\"2 3\"",
            "Env",
            r#"["PATH=/usr/bin:/bin","A=1","B=2 3"]"#.to_owned(),
        ),
        (
            "ENV PATH=/x:$PATH",
            "Env",
            r#"["PATH=/x:/usr/bin:/bin"]"#.to_owned(),
        ),
        ("ARG z=1", "Env", env.to_owned()),
        ("WORKDIR /w/../x/.", "WorkingDir", "\"/x\"".to_owned()),
        ("ENTRYPOINT [\"/e\"]", "Entrypoint", "[\"/e\"]".to_owned()),
        ("ENTRYPOINT [\"/e\"]", "Cmd", "null".to_owned()),
        (
            "CMD echo hi",
            "Cmd",
            r#"["/bin/sh","-c","echo hi"]"#.to_owned(),
        ),
        (
            "EXPOSE 80 53/udp",
            "ExposedPorts",
            r#"{"53/udp":{},"80/tcp":{}}"#.to_owned(),
        ),
        ("VOLUME /v", "Volumes", r#"{"/v":{}}"#.to_owned()),
        ("STOPSIGNAL SIGINT", "StopSignal", "\"SIGINT\"".to_owned()),
        (
            "LABEL a=1",
            "Labels",
            r#"{"a":"1","io.buildpacks.rebasable":"false"}"#.to_owned(),
        ),
        (
            "LABEL io.buildpacks.rebasable=true",
            "Labels",
            r#"{"io.buildpacks.rebasable":"true"}"#.to_owned(),
        ),
        ("USER 5:6", "User", "\"5:6\"".to_owned()),
    ];
    for (dockerfile, key, expected) in rows {
        let container = Container::new();
        let outcome = container.extend(&[dockerfile]);
        assert_eq!(outcome.code, Some(0), "{dockerfile}\n{}", outcome.text);
        let config = container.config();
        assert_eq!(config[key].to_string(), expected, "{dockerfile}");
    }
}

#[test]
fn mistakes() {
    let rows = [
        (
            "RUN exit 3",
            "failed to execute command: waiting for process to exit: exit status 3",
        ),
        (
            "RUN kill -9 $$",
            "waiting for process to exit: signal: killed",
        ),
        (
            "RUN [\"/no/such\"]",
            "failed to execute command: starting /no/such: no such file or directory",
        ),
        (
            "\nCOPY none /x",
            "line 5 (COPY none /x): \"none\": not found",
        ),
        (
            "RUN --mount=type=cache,target=/c true",
            "(RUN --mount=type=cache,target=/c true): --mount is not supported",
        ),
        (
            "ADD https://example.com/x /x",
            "ADD from a URL is not supported",
        ),
        (
            "COPY --from=other a.txt /x",
            "--from=other is not supported",
        ),
        (
            "USER nobody-here\nRUN true",
            "unable to find user nobody-here",
        ),
        ("ENV a=${b:?missing}", "b: missing"),
        ("BOGUS", "unknown instruction 'BOGUS' at line 4 column 1"),
        (
            "FROM scratch",
            "line 4: more than one stage is not supported",
        ),
        ("RUN <<EOF\nnever", "here-document EOF does not end"),
        ("USER root", "the final user ID is 0 (root)"),
    ];
    for (dockerfile, expected) in rows {
        let container = Container::new();
        let outcome = container.extend(&[&format!("USER root\n{dockerfile}")]);
        assert_eq!(outcome.code, Some(102), "{dockerfile}\n{}", outcome.text);
        assert!(
            outcome.text.contains(expected),
            "{dockerfile}\n{}",
            outcome.text
        );
        assert!(!container.is_extended(), "{dockerfile}");
    }
}

#[test]
fn extensions_build_on_each_other_and_the_cache_knows() {
    let dockerfiles = [
        "USER root\nRUN date +%N > /one && rm -r /data\nUSER 1234:1000",
        "ARG build_id=0\nUSER root\nRUN cat /one > /two\nCOPY a.txt /\nRUN echo three > /three\nUSER 1234:1000",
    ];
    let before = Container::new();
    before.extend(&dockerfiles[..1]);
    let first = before.added();
    assert_eq!(first.len(), 2, "{first:?}");
    // Another container of the same base with the same volume.
    let after = before.next();
    let outcome = after.extend(&dockerfiles);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    assert_eq!(
        outcome
            .text
            .matches("Using the layer from the cache")
            .count(),
        1,
        "{}",
        outcome.text
    );
    let second = after.added();
    assert_eq!(second[..2], first[..]);
    assert_eq!(
        second[2],
        first[1].replace("one", "two"),
        "the second saw the first's file"
    );
    assert!(
        !after.exists("data"),
        "whiteouts of cached layers are applied"
    );
    // What the file depends on has changed: nothing of it may come from the cache.
    let changed = after.next();
    let outcome =
        changed.extend(&["USER root\nRUN date +%N > /one && rm -r /data #\nUSER 1234:1000"]);
    assert!(!outcome.text.contains("from the cache"), "{}", outcome.text);
    assert_ne!(changed.added(), first);
}

#[test]
fn a_cache_that_others_could_fill_is_not_used() {
    let dockerfile = "USER root\nRUN date +%N > /one\nUSER 1234:1000";
    let before = Container::new();
    before.extend(&[dockerfile]);
    let first = before.added();
    let after = before.next();
    after.give_cache_away();
    let outcome = after.extend(&[dockerfile]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    assert_ne!(after.added(), first);
}

#[test]
fn outside_of_containers_nothing_happens() {
    let container = Container::new();
    let outcome = container.extend_outside(&["USER root\nRUN touch /f\nUSER 1234"]);
    // The machine that runs this test may be a container itself.
    if outcome.code != Some(0) {
        assert!(
            outcome.text.contains("this does not look like a container"),
            "{}",
            outcome.text
        );
        assert!(!container.exists("f"));
    }
}

/// Files that run with somebody else's rights are kept, and named.
#[test]
fn set_id_files_are_listed() {
    let container = Container::new();
    let outcome = container
        .extend(&["USER root\nRUN touch /u /g && chmod 4755 /u && chmod 2755 /g\nUSER 1234"]);
    assert_eq!(outcome.code, Some(0), "{}", outcome.text);
    for name in ["/g", "/u"] {
        let line = format!("{name} runs with the rights of its owner or group (set-id)");
        assert!(outcome.text.contains(&line), "{}", outcome.text);
    }
}
