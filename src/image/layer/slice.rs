//! The app directory as layers (buildpack.md, "Slice Layers"; FACTS 5.3).

use super::LayerRecipe;
use super::beneath::Beneath;
use super::path::clean;
use super::walk::{Order, walk};
use lifecycle_core::data::launch::Slice;
use lifecycle_core::error::{Error, Result, ResultExt};
use lifecycle_core::glob::Pattern;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// One recipe per slice, in order, and a last one for what no slice took.
///
/// A pattern that is absolute or leaves the app directory matches nothing. A slice may match nothing: its layer is
/// an empty tar.
///
/// # Errors
/// The app directory cannot be read, or a pattern is malformed.
pub fn slices(app: &Path, slices: &[Slice], uid: u32, gid: u32) -> Result<Vec<LayerRecipe>> {
    if slices.is_empty() {
        return Ok(vec![LayerRecipe::App {
            root: app.to_owned(),
            uid,
            gid,
        }]);
    }
    let mut tree = Tree::read(app)?;
    let recipe = |paths| LayerRecipe::Paths {
        root: app.to_owned(),
        paths,
        uid,
        gid,
    };
    let mut recipes = Vec::with_capacity(slices.len() + 1);
    for slice in slices {
        let mut matched = Vec::new();
        for pattern in &slice.paths {
            tree.find(pattern, &mut matched)?;
        }
        let taken = tree.take(&matched);
        recipes.push(recipe(tree.paths(|index| taken[index])));
    }
    recipes.push(recipe(tree.paths(|index| !tree.nodes[index].sliced)));
    Ok(recipes)
}

/// Everything in the app directory, depth first: what is below a node follows it.
struct Tree {
    root: PathBuf,
    nodes: Vec<Node>,
}

struct Node {
    /// Relative to the app directory, whose own is empty.
    path: PathBuf,
    parent: Option<usize>,
    /// The index behind the last node below this one.
    end: usize,
    /// Whether a slice holds it, so that later ones and the rest do not.
    sliced: bool,
}

impl Tree {
    fn read(app: &Path) -> Result<Self> {
        let (Some(parent), Some(name)) = (app.parent(), app.file_name()) else {
            return Err(Error::other(format!(
                "'{}' cannot be a layer",
                app.display()
            )));
        };
        let root = Beneath::open(parent).context(|| format!("open {}", parent.display()))?;
        let mut nodes = Vec::<Node>::new();
        // The nodes on the way to the one that is visited.
        let mut open = Vec::<usize>::new();
        walk(&root, name.as_bytes(), Order::DepthFirst, &mut |visit| {
            let depth = visit.relative.iter().filter(|&&byte| byte == b'/').count();
            for closed in open.drain(depth.min(open.len())..) {
                nodes[closed].end = nodes.len();
            }
            let path = visit.relative.get(name.len() + 1..).unwrap_or_default();
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            nodes.push(Node {
                path,
                parent: open.last().copied(),
                end: 0,
                sliced: false,
            });
            open.push(nodes.len() - 1);
            Ok(())
        })?;
        for closed in open {
            nodes[closed].end = nodes.len();
        }
        Ok(Self {
            root: app.to_owned(),
            nodes,
        })
    }

    /// Adds the nodes that a pattern matches to `matched`.
    fn find(&self, pattern: &str, matched: &mut Vec<usize>) -> Result<()> {
        let pattern = String::from_utf8_lossy(&clean(pattern.as_bytes())).into_owned();
        let Some((_, nodes @ [first, ..])) = self.nodes.split_first() else {
            return Ok(());
        };
        // The reference notices a malformed pattern when it tries the first path.
        let first = first.path.display();
        let pattern = Pattern::parse(&pattern)
            .map_err(|_| Error::other("syntax error in pattern"))
            .context(|| format!("failed to check if '{first}' matches '{pattern}'"))?;
        let matches = |node: &Node| pattern.matches(node.path.as_os_str().as_bytes());
        let matching = nodes.iter().enumerate().filter(|(_, node)| matches(node));
        matched.extend(matching.map(|(index, _)| index + 1));
        Ok(())
    }

    /// Takes the matched nodes, all below them that no earlier slice took, and the directories above. Tells for each
    /// node whether the slice's layer holds it.
    fn take(&mut self, matched: &[usize]) -> Vec<bool> {
        let mut taken = vec![false; self.nodes.len()];
        for &index in matched {
            let below = index..self.nodes[index].end;
            for (node, taken) in self.nodes[below.clone()].iter_mut().zip(&mut taken[below]) {
                *taken |= !std::mem::replace(&mut node.sliced, true);
            }
        }
        let mut parents = vec![false; self.nodes.len()];
        for index in (0..self.nodes.len()).filter(|&index| taken[index]) {
            let mut above = self.nodes[index].parent;
            while let Some(parent) = above.filter(|&parent| !taken[parent] && !parents[parent]) {
                parents[parent] = true;
                above = self.nodes[parent].parent;
            }
        }
        // Children come after their parents.
        for index in (0..self.nodes.len()).rev().filter(|&index| parents[index]) {
            taken[index] = true;
            let complete = self.children(index).all(|child| self.nodes[child].sliced);
            self.nodes[index].sliced = complete;
        }
        taken
    }

    fn children(&self, index: usize) -> impl Iterator<Item = usize> {
        let end = self.nodes[index].end;
        let next = move |child: usize| Some(child).filter(|&child| child < end);
        std::iter::successors(next(index + 1), move |&child| next(self.nodes[child].end))
    }

    /// The full paths of the chosen nodes, sorted by their bytes.
    fn paths(&self, chosen: impl Fn(usize) -> bool) -> Vec<PathBuf> {
        let full = |index: usize| match self.nodes[index].parent {
            Some(_) => self.root.join(&self.nodes[index].path),
            None => self.root.clone(),
        };
        let mut paths: Vec<_> = (0..self.nodes.len())
            .filter(|&i| chosen(i))
            .map(full)
            .collect();
        paths.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
        paths
    }
}
