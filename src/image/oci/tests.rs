use super::*;
use lifecycle_core::error::ErrorKind;

/// Every key that the reference writes, in its order; `Healthcheck` is kept even when it is empty.
const FULL: &str = concat!(
    r#"{"architecture":"arm64","author":"me","container":"c","created":"1980-01-01T00:00:01Z","docker_version":"20","#,
    r#""history":[{"author":"a","created":"1980-01-01T00:00:01Z","created_by":"x \u003c y","comment":"c","empty_layer":true}],"#,
    r#""os":"linux","rootfs":{"type":"layers","diff_ids":["#,
    r#""sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"]},"#,
    r#""config":{"AttachStderr":true,"AttachStdin":true,"AttachStdout":true,"Cmd":["c"],"Healthcheck":{},"#,
    r#""Domainname":"d","Entrypoint":["e"],"Env":["PATH=/bin"],"Hostname":"h","Image":"i","Labels":{"a":"1","b":"2"},"#,
    r#""OnBuild":["o"],"OpenStdin":true,"StdinOnce":true,"Tty":true,"User":"1000:1000","Volumes":{"/v":{}},"#,
    r#""WorkingDir":"/w","ExposedPorts":{"80/tcp":{}},"ArgsEscaped":true,"NetworkDisabled":true,"MacAddress":"m","#,
    r#""StopSignal":"SIGINT","Shell":["sh"],"Unknown":1},"#,
    r#""os.version":"1","variant":"v8","os.features":["f"],"unknown":{"b":1,"a":[1.5,null]}}"#
);
const EMPTY: &str = concat!(
    r#"{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","#,
    r#""rootfs":{"type":"layers","diff_ids":[]},"config":{}}"#
);

fn check_config(text: &str, edit: impl FnOnce(Config) -> Config, expected: &str) {
    assert_eq!(
        edit(Config::parse(text.as_bytes()).unwrap()).to_json(),
        expected
    );
}

#[test]
fn configurations_come_out_in_order_and_complete() {
    check_config(FULL, |config| config, FULL);
    check_config("{}", |config| config, EMPTY);
    let zeros = concat!(
        r#"{"config":{"Hostname":"","Tty":false,"Env":null,"Cmd":[],"Volumes":{},"Labels":null,"Healthcheck":null},"#,
        r#""rootfs":{"diff_ids":null},"os.features":[],"history":[],"created":null,"author":""}"#
    );
    check_config(zeros, |config| config, EMPTY);
    let unordered = r#"{"config":{"Labels":{"b":"2","a":"1"},"Env":["A=1"]},"os":"linux","architecture":"amd64"}"#;
    let ordered = concat!(
        r#"{"architecture":"amd64","created":"0001-01-01T00:00:00Z","os":"linux","#,
        r#""rootfs":{"type":"layers","diff_ids":[]},"config":{"Env":["A=1"],"Labels":{"a":"1","b":"2"}}}"#
    );
    check_config(unordered, |config| config, ordered);
}

#[test]
fn malformed_configurations_are_refused() {
    for text in [
        "",
        "[]",
        "{",
        r#"{"config":[]}"#,
        r#"{"os":1}"#,
        r#"{"config":{"Env":["A=1",2]}}"#,
        r#"{"config":{"Labels":{"a":1}}}"#,
        r#"{"rootfs":{"diff_ids":["sha256:../../x"]}}"#,
        r#"{"history":[1]}"#,
    ] {
        assert_eq!(
            Config::parse(text.as_bytes()).unwrap_err().kind(),
            ErrorKind::Corrupt,
            "{text}"
        );
    }
}

fn check_env(os: &str, env: &str, (name, value): (&str, &str), expected: &str) {
    let config =
        Config::parse(format!(r#"{{"os":"{os}","config":{{"Env":{env}}}}}"#).as_bytes()).unwrap();
    let json = config.with_env(name, value).to_json();
    assert!(
        json.ends_with(&format!(r#""config":{{"Env":{expected}}}}}"#)),
        "{json}"
    );
}

#[test]
fn variables_are_replaced_in_place_or_added() {
    check_env("linux", r#"["A=1","B=2"]"#, ("A", "3"), r#"["A=3","B=2"]"#);
    check_env(
        "linux",
        r#"["A=1=2","B"]"#,
        ("B", "x=y"),
        r#"["A=1=2","B=x=y"]"#,
    );
    check_env("linux", r#"["a=1"]"#, ("A", "2"), r#"["a=1","A=2"]"#);
    check_env("windows", r#"["Path=1"]"#, ("PATH", "2"), r#"["PATH=2"]"#);
    check_env("linux", "null", ("A", "1"), r#"["A=1"]"#);
    let config = Config::new("linux", "amd64").with_env("PATH", "/a=b:/c");
    assert_eq!(config.env_var("PATH"), Some("/a=b:/c"));
    assert_eq!(config.env_var("path"), None);
}

#[test]
fn edits_touch_what_they_name() {
    let config = Config::parse(FULL.as_bytes()).unwrap();
    let edited = config
        .clone()
        .with_label("b", "3")
        .with_label("c", "4")
        .without_label("a")
        .with_entrypoint(&["/cnb/process/web".to_owned()])
        .with_working_dir("/workspace")
        .with_user("0")
        .without_container()
        .with_created("2020-01-01T00:00:00Z")
        .with_platform("linux", "amd64", "", "2");
    assert_eq!(
        edited.labels().into_iter().collect::<Vec<_>>(),
        [("b", "3"), ("c", "4")]
    );
    let expected = FULL
        .replace(r#""arm64""#, r#""amd64""#)
        .replace(r#""container":"c",""#, "\"")
        .replacen("1980-01-01T00:00:01Z", "2020-01-01T00:00:00Z", 1)
        .replace(r#""Cmd":["c"],"#, "")
        .replace(r#"["e"]"#, r#"["/cnb/process/web"]"#)
        .replace(r#"{"a":"1","b":"2"}"#, r#"{"b":"3","c":"4"}"#)
        .replace("1000:1000", "0")
        .replace(r#""/w""#, r#""/workspace""#)
        .replace(r#""os.version":"1","variant":"v8""#, r#""os.version":"2""#);
    assert_eq!(edited.to_json(), expected);
    assert_eq!(
        Config::default().with_runtime_of(&config).working_dir(),
        "/w"
    );
}

#[test]
fn history_belongs_to_layers() {
    let entry = |name: &str, empty_layer| History {
        created_by: name.to_owned(),
        empty_layer,
        ..History::default()
    };
    let history = vec![entry("a", false), entry("env", true), entry("b", false)];
    let names = |layers| {
        let history = History::per_layer(history.clone(), layers);
        history
            .into_iter()
            .map(|entry| entry.map_or_else(String::new, |entry| entry.created_by))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(2), ["a", "b"]);
    assert_eq!(names(3), ["", "", ""]);
}

const MANIFEST: &str = concat!(
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"#,
    r#""mediaType":"application/vnd.oci.image.config.v1+json","size":2,"#,
    r#""digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"#,
    r#""layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","size":5,"#,
    r#""digest":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","#,
    r#""urls":["u"],"annotations":{"z":"1","a":"2"}}],"annotations":{"a":"b"}}"#
);

#[test]
fn manifests_survive_unchanged() {
    let Document::Manifest(manifest) = Document::parse(MANIFEST.as_bytes(), "").unwrap() else {
        panic!("a manifest")
    };
    assert_eq!(manifest.to_json(), MANIFEST);
    let Document::Index(index) = Document::parse(br#"{"manifests":null}"#, "").unwrap() else {
        panic!("an index")
    };
    assert_eq!(index.manifests, []);
}

#[test]
fn malformed_manifests_are_refused() {
    let docker = ManifestKind::Docker.manifest();
    for (text, media_type, cause) in [
        (MANIFEST, docker, "was announced"),
        (r#"{"manifests":[],"layers":[]}"#, docker, "both"),
        (r#"{"schemaVersion":1}"#, "", "unsupported media type"),
        (r#"{"layers":[]}"#, docker, "no 'config'"),
        (r#"{"manifests":[{}]}"#, "", "is not a sha256 digest"),
        (r#"{"manifests":{}}"#, "", "not a list"),
        ("\u{feff}{}", "", "manifest"),
    ] {
        let error = Document::parse(text.as_bytes(), media_type).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{text}");
        assert!(error.to_string().contains(cause), "{error}");
    }
}

#[test]
fn layer_types_follow_the_manifest() {
    let (docker, oci) = (ManifestKind::Docker, ManifestKind::Oci);
    assert_eq!(oci.layer_as(docker.layer()), oci.layer());
    assert_eq!(docker.layer_as(oci.layer()), docker.layer());
    assert_eq!(
        docker.layer_as("application/vnd.example"),
        "application/vnd.example"
    );
}
