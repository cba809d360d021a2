use super::*;
use crate::dockerfile::{self, Instruction};
use crate::extend::namespace::Owners;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

/// What a root with `/dir/old` holds after an instruction; files as `path mode owner content`.
fn check(instruction: &str, expected: &[&str]) {
    assert_eq!(outcome(instruction), expected, "{instruction}");
}

fn check_error(instruction: &str, expected: &str) {
    assert_eq!(outcome(instruction), [expected], "{instruction}");
}

fn outcome(instruction: &str) -> Vec<String> {
    let world = tempfile::tempdir().unwrap();
    let world = fs::canonicalize(world.path())
        .map(|path| (world, path))
        .unwrap();
    let root = world.1.join("root");
    let context = world.1.join("context");
    fs::create_dir_all(root.join("dir")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::write(root.join("dir/old"), "old").unwrap();
    fs::write(root.join("etc/passwd"), "u:x:7:8::/:\n").unwrap();
    symlink("dir", root.join("link")).unwrap();
    fs::create_dir_all(context.join("sub/in")).unwrap();
    for (path, content, mode) in [
        ("a", "A", 0o644),
        ("b.sh", "B", 0o755),
        ("sub/x", "X", 0o600),
        ("sub/in/y", "Y", 0o644),
    ] {
        fs::write(context.join(path), content).unwrap();
        fs::set_permissions(context.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("x", context.join("sub/l")).unwrap();
    let mut tar = ::tar::Builder::new(Vec::new());
    tar.append_path_with_name(context.join("b.sh"), "packed/b")
        .unwrap();
    fs::write(context.join("t.tar"), tar.into_inner().unwrap()).unwrap();
    fs::write(context.join("t.tar.xz"), b"\xfd7zXZ\0rest").unwrap();
    let disk = Disk::new(&root, Owners::All);
    match run(instruction, &context, &disk) {
        Ok(touched) => touched
            .into_iter()
            .map(|path| {
                let path = String::from_utf8(path).unwrap();
                let full = root.join(&path);
                let metadata = fs::symlink_metadata(&full).unwrap();
                let what = match metadata {
                    _ if metadata.is_dir() => "/".to_owned(),
                    _ if metadata.is_symlink() => {
                        fs::read_link(full).unwrap().display().to_string()
                    }
                    _ => fs::read_to_string(full).unwrap(),
                };
                let mode = metadata.mode() & 0o7777;
                format!(
                    "{path} {mode:o} {}:{} {what}",
                    metadata.uid(),
                    metadata.gid()
                )
            })
            .collect(),
        Err(error) => vec![error.to_string()],
    }
}

fn run(instruction: &str, context: &Path, disk: &Disk) -> Result<BTreeSet<Vec<u8>>> {
    let file = dockerfile::parse(&format!("FROM x\n{instruction}"))?;
    let (copy, kind) = match &file.stages[0].steps[0].instruction {
        Instruction::Copy(copy) => (copy, Kind::Copy),
        Instruction::Add(copy) => (copy, Kind::Add),
        _ => panic!("no copy"),
    };
    let context = Context::open(context, Path::new("/none"))?;
    let expand = |text: &str| Ok(text.replace("$v", "dir"));
    let copying = Copying::settle(
        copy,
        kind,
        &context,
        disk,
        Path::new("/work"),
        &expand,
        &expand,
    )?;
    copying.describe(&context)?;
    copying.write(&context, disk)
}

#[test]
fn files_go_where_docker_puts_them() {
    check("COPY a /new", &["new 644 0:0 A"]);
    check("COPY a /new/", &["new 755 0:0 /", "new/a 644 0:0 A"]);
    check(
        "COPY a /p/q/r",
        &["p 755 0:0 /", "p/q 755 0:0 /", "p/q/r 644 0:0 A"],
    );
    check("COPY a /dir", &["dir/a 644 0:0 A"]);
    check("COPY a /link", &["dir/a 644 0:0 A"]);
    check("COPY a /$v/old", &["dir/old 644 0:0 A"]);
    check("COPY a rel", &["work 755 0:0 /", "work/rel 644 0:0 A"]);
    check("COPY a .", &["work 755 0:0 /", "work/a 644 0:0 A"]);
    check(
        "COPY a b.sh /m/",
        &["m 755 0:0 /", "m/a 644 0:0 A", "m/b.sh 755 0:0 B"],
    );
    check("COPY [\"a\", \"/with space\"]", &["with space 644 0:0 A"]);
    check("COPY <<E /e/\n$v\nE", &["e 755 0:0 /", "e/E 644 0:0 dir\n"]);
    check("COPY <<'E' /e\n$v\nE", &["e 644 0:0 $v\n"]);
}

#[test]
fn directories_are_copied_by_content() {
    let tree = |root: &str, owner: &str| {
        vec![
            format!("{root} 755 {owner} /"),
            format!("{root}/in 755 {owner} /"),
            format!("{root}/in/y 644 {owner} Y"),
            format!("{root}/l 777 {owner} x"),
            format!("{root}/x 600 {owner} X"),
        ]
    };
    for (instruction, expected) in [
        ("COPY sub /new", tree("new", "0:0")),
        ("COPY sub/ /new/", tree("new", "0:0")),
        ("COPY --chown=7 sub /new", tree("new", "7:7")),
        ("COPY --chown=u:9 sub /new", tree("new", "7:9")),
    ] {
        assert_eq!(outcome(instruction), expected, "{instruction}");
    }
    check(
        "COPY --exclude=sub/in sub /n",
        &["n 755 0:0 /", "n/l 777 0:0 x", "n/x 600 0:0 X"],
    );
    check("COPY --chmod=4711 a /m", &["m 4711 0:0 A"]);
    check("COPY --chmod=u+x,go-r a /m", &["m 700 0:0 A"]);
}

#[test]
fn add_unpacks_archives() {
    check(
        "ADD t.tar /into",
        &[
            "into 755 0:0 /",
            "into/packed 755 0:0 /",
            "into/packed/b 755 0:0 B",
        ],
    );
    check("ADD a /n", &["n 644 0:0 A"]);
    check_error(
        "ADD t.tar.xz /into",
        "cannot unpack t.tar.xz: xz is not supported",
    );
    check_error(
        "ADD https://example.com/x /x",
        "ADD from a URL is not supported (https://example.com/x): use RUN with a download program",
    );
}

#[test]
fn what_cannot_be_copied_is_an_error() {
    let many = "with more than one source the destination must be a directory and end with a /";
    check_error("COPY a b.sh /m", many);
    check_error("COPY ?* /m", many);
    check_error("COPY none /m", "\"none\": not found");
    check_error(
        "COPY --chmod=u+y a /m",
        "--chmod=u+y: neither octal nor like u=rwX,go=rX",
    );
    check_error("COPY --chown=who a /m", "unable to find user who");
    check_error("COPY --parents a /m", "--parents is not supported");
    check_error(
        "COPY a /dir/old/x",
        "create /dir/old: /dir/old is not a directory",
    );
}
