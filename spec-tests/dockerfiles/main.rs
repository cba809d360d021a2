//! Small Dockerfiles, built by `docker build` (BuildKit) and here, on the same base image and context: files and configuration
//! have to be the same (`make test-docker`). The table is rows.txt.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod files;
mod here;
mod rows;
mod there;
mod tree;

use here::Here;
use rows::Row;
use serde_json::Value;
use spec_tests::site::work_directory;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};
use there::There;
use tree::{Tree, configuration, differences};

/// What comes out of a Dockerfile: files and configuration, or why there are none.
type Outcome = Result<(Tree, Value), String>;

#[test]
fn dockerfiles_do_what_docker_build_does() {
    let work = work_directory().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let base = files::base();
    let mut bottom = Tree::default();
    bottom.apply(base.as_slice()).unwrap();
    let base_tar = work.path().join("base.tar");
    fs::write(&base_tar, &base).unwrap();
    let context = work.path().join("context");
    files::unpack(&files::context(), &context);

    let rows = rows::chosen();
    let there = There::start(work.path(), &base_tar, &context);
    let here = Here::new(work.path(), &base, &context, there.configs());
    let built = in_parallel(&rows, |row| {
        (there.build(row), here.build(row, bottom.clone()))
    });
    let images = there.images(&bottom);
    let mut wrong = Vec::new();
    for (row, (said, own)) in rows.iter().zip(built) {
        let docker = match said {
            Ok(()) => Ok(&images[&row.tag()]),
            Err(said) => Err(said),
        };
        let unlike = compare(row, docker, &own, now.as_secs());
        if !unlike.is_empty() {
            wrong.push(format!("{}\n    {}", row.name, unlike.join("\n    ")));
        }
    }
    let (all, wrong_ones) = (rows.len(), wrong.join("\n"));
    assert!(wrong.is_empty(), "{} of {all}:\n{wrong_ones}", wrong.len());
}

fn compare(
    row: &Row,
    docker: Result<&(Tree, Value), String>,
    here: &Outcome,
    now: u64,
) -> Vec<String> {
    match (docker, here) {
        (Err(_), Err(_)) if row.fails => Vec::new(),
        (Err(said), Err(own)) => vec![format!("fails: {said}\n{own}")],
        (Err(said), Ok(_)) => vec![format!("docker alone fails: {said}")],
        (Ok(_), Err(own)) => vec![format!("fails here alone: {own}")],
        (Ok(_), Ok(_)) if row.fails => vec!["does not fail".to_owned()],
        (Ok((files, config)), Ok((own_files, own_config))) => {
            let files = differences(&files.describe(now), &own_files.describe(now));
            let config = differences(&configuration(config), &configuration(own_config));
            [files, config].concat()
        }
    }
}

/// Does something with every row, on two threads; the results are in the rows' order.
fn in_parallel<T: Send>(rows: &[Row], work: impl Fn(&Row) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(row) = rows.get(number) else {
                        return;
                    };
                    let result = work(row);
                    results.lock().unwrap().insert(number, result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_values().collect()
}

/// What a command prints to standard output.
fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}
