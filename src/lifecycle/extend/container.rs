//! Whether this process runs in a container. Executing a Dockerfile changes the root file system, which nobody wants on a
//! machine of their own.

use lifecycle_core::env::Env;
use std::path::Path;

/// Files that container engines leave.
const MARKS: [&str; 3] = ["/.dockerenv", "/run/.containerenv", "/.kubernetes"];
/// Words in the control group's path of a container's first process.
const GROUPS: [&str; 7] = [
    "docker",
    "kubepods",
    "containerd",
    "libpod",
    "crio",
    "lxc",
    "machine.slice",
];

/// Whether something says that this is a container: files, the environment, control groups, or a root file system made of
/// image layers.
pub fn detected(env: &Env) -> bool {
    let says = |name: &str| env.get(name).is_some_and(|value| !value.is_empty());
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    MARKS.iter().any(|mark| Path::new(mark).exists())
        || says("container")
        || says("KUBERNETES_SERVICE_HOST")
        || names_a_group(&read("/proc/1/cgroup"))
        || has_layers(&read("/proc/self/mountinfo"))
}

fn names_a_group(cgroup: &str) -> bool {
    let paths = cgroup.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    paths
        .flat_map(|path| path.split(['/', '-', ':']))
        .any(|part| GROUPS.iter().any(|group| part.starts_with(group)))
}

/// Whether the root is an overlay.
fn has_layers(mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| {
        let (mount, source) = line.split_once(" - ").unwrap_or((line, ""));
        let overlay = ["overlay", "fuse.fuse-overlayfs", "aufs"];
        mount.split(' ').nth(4) == Some("/")
            && overlay.contains(&source.split(' ').next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_give_themselves_away() {
        assert!(names_a_group("12:pids:/docker/0123\n"));
        assert!(names_a_group("0::/kubepods.slice/x\n"));
        assert!(names_a_group("0::/system.slice/docker-12.scope\n"));
        assert!(!names_a_group("0::/init.scope\n"));
        assert!(!names_a_group("0::/user.slice/user-1000.slice\n0::/\n"));
        let overlay = "1 0 0:5 / / rw,relatime - overlay overlay rw,lowerdir=a\n";
        let disk =
            "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 0:5 / /var/lib/x rw - overlay overlay rw\n";
        assert!(has_layers(overlay));
        assert!(!has_layers(disk));
        assert!(detected(&Env::from_pairs([("container", "podman")])));
    }
}
