//! Reads the manifests of docs/platforms and says which container each step is: what Tekton and a kubelet make of them, as far as
//! these manifests go. A key that isn't known is an error, so that nothing in a manifest goes untested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};
use yaml_rust2::{Yaml, YamlLoader};

/// Parameters and where workspaces are: what a Tekton run fills in. For a pod, images by the names in its manifest.
pub(crate) type Values = BTreeMap<&'static str, Vec<String>>;

/// One container that runs to its end before the next starts.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) image: String,
    /// The program and its arguments; a script's are its arguments alone.
    pub(crate) command: Vec<String>,
    pub(crate) script: Option<String>,
    pub(crate) env: Vec<(String, String)>,
    /// Volumes by name, and where they are mounted.
    pub(crate) mounts: Vec<(String, PathBuf)>,
    pub(crate) user: Option<i64>,
    pub(crate) group: Option<i64>,
    pub(crate) unprivileged: bool,
}

/// The documents of a manifest.
pub(crate) fn load(path: &Path) -> io::Result<Vec<Yaml>> {
    let text = fs::read_to_string(path)?;
    YamlLoader::load_from_str(&text)
        .map_err(|error| fault(&path.display().to_string(), &error.to_string()))
}

/// The steps of a Tekton task, with `values` in place of its parameters; those left out take their defaults.
pub(crate) fn task(document: &Yaml, values: &Values) -> io::Result<Vec<Step>> {
    let spec = &document["spec"];
    let mut values = values.clone();
    for parameter in list(&spec["params"]) {
        let name = string(&parameter["name"])?;
        let given = values.keys().any(|known| *known == name);
        let default = match &parameter["default"] {
            Yaml::Array(items) => Some(items.iter().map(string).collect::<io::Result<_>>()?),
            Yaml::String(text) => Some(vec![text.clone()]),
            _ => None,
        };
        match default {
            _ if given => {}
            Some(default) => drop(values.insert(Box::leak(name.into_boxed_str()), default)),
            None => return Err(fault(&name, "a parameter without value or default")),
        }
    }
    let template = list(&spec["stepTemplate"]["env"]);
    let steps = list(&spec["steps"]).iter();
    steps.map(|entry| step(entry, template, &values)).collect()
}

/// The containers of a pod in their order, with the pod's user; `images` replaces what registry.example.com stands for.
pub(crate) fn pod(document: &Yaml, images: &Values) -> io::Result<Vec<Step>> {
    let spec = &document["spec"];
    let containers = [list(&spec["initContainers"]), list(&spec["containers"])].concat();
    let steps = containers.iter().map(|entry| {
        let mut step = step(entry, &[], images)?;
        step.user = spec["securityContext"]["runAsUser"].as_i64();
        step.group = spec["securityContext"]["runAsGroup"].as_i64();
        Ok(step)
    });
    steps.collect()
}

fn step(entry: &Yaml, template: &[Yaml], values: &Values) -> io::Result<Step> {
    const KNOWN: [&str; 8] = [
        "name",
        "image",
        "imagePullPolicy",
        "command",
        "args",
        "script",
        "env",
        "volumeMounts",
    ];
    let keys = entry.as_hash().into_iter().flatten();
    for key in keys.filter_map(|(key, _)| key.as_str()) {
        if !KNOWN.contains(&key) && key != "securityContext" {
            return Err(fault(key, "a key of a step that no test knows"));
        }
    }
    let mut command = Vec::new();
    for part in list(&entry["command"]).iter().chain(list(&entry["args"])) {
        command.extend(expand(&string(part)?, values)?);
    }
    let text = |yaml: &Yaml| Ok::<_, io::Error>(expand(&string(yaml)?, values)?.concat());
    let mut env = Vec::new();
    for variable in template.iter().chain(list(&entry["env"])) {
        env.push((string(&variable["name"])?, text(&variable["value"])?));
    }
    let mut mounts = Vec::new();
    for mount in list(&entry["volumeMounts"]) {
        mounts.push((text(&mount["name"])?, string(&mount["mountPath"])?.into()));
    }
    let security = &entry["securityContext"];
    Ok(Step {
        name: string(&entry["name"])?,
        image: text(&entry["image"])?,
        command,
        script: match &entry["script"] {
            Yaml::BadValue => None,
            script => Some(text(script)?),
        },
        env,
        mounts,
        user: security["runAsUser"].as_i64(),
        group: security["runAsGroup"].as_i64(),
        unprivileged: security["allowPrivilegeEscalation"] == Yaml::Boolean(false)
            && security["capabilities"]["drop"][0].as_str() == Some("ALL"),
    })
}

/// Fills values in. `$(params.NAME[*])` alone becomes as many arguments as the parameter has values.
fn expand(text: &str, values: &Values) -> io::Result<Vec<String>> {
    if let Some(name) = text
        .strip_prefix("$(params.")
        .and_then(|rest| rest.strip_suffix("[*])"))
    {
        return value(name, values).map(<[String]>::to_vec);
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("$(") {
        filled.push_str(before);
        let (name, end) = after
            .split_once(')')
            .ok_or_else(|| fault(text, "$( without )"))?;
        match name.split('.').collect::<Vec<_>>().as_slice() {
            ["params", name] => filled.push_str(&value(name, values)?.concat()),
            ["workspaces", name, "path"] if values.contains_key(name) => {
                filled.push_str(&format!("/workspace/{name}"))
            }
            ["workspaces", _, "path"] => {}
            ["workspaces", name, "bound"] => {
                filled.push_str(&values.contains_key(name).to_string())
            }
            ["results", name, "path"] => filled.push_str(&format!("/tekton/results/{name}")),
            _ => return Err(fault(name, "a variable that no test knows")),
        }
        rest = end;
    }
    filled.push_str(rest);
    for (name, image) in values
        .iter()
        .filter(|(name, _)| name.starts_with("registry.example.com/"))
    {
        filled = filled.replace(name, &image.concat());
    }
    Ok(vec![filled])
}

fn value<'a>(name: &str, values: &'a Values) -> io::Result<&'a [String]> {
    let value = values.get(name).map(Vec::as_slice);
    value.ok_or_else(|| fault(name, "no such parameter"))
}

fn list(yaml: &Yaml) -> &[Yaml] {
    yaml.as_vec().map_or(&[], Vec::as_slice)
}

fn string(yaml: &Yaml) -> io::Result<String> {
    let text = yaml.as_str().map(str::to_owned);
    text.ok_or_else(|| fault(&format!("{yaml:?}"), "not a text"))
}

fn fault(what: &str, why: &str) -> io::Error {
    io::Error::other(format!("{what}: {why}"))
}
