//! The modules of a crate and the items that each takes from the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module's path inside the crate, without `crate`.
type Name = Vec<String>;

#[derive(Default)]
pub(crate) struct Modules {
    all: BTreeMap<Name, Module>,
}

#[derive(Default)]
struct Module {
    /// Paths that the source names, made absolute.
    paths: BTreeSet<Name>,
    /// What `use` lines bring in under which name, for re-exports.
    imports: BTreeMap<String, Name>,
}

impl Modules {
    /// Reads the crate whose root is this file, tests aside.
    pub(crate) fn read(root: &Path) -> Modules {
        let mut modules = Modules::default();
        let beside = root.parent().expect("a folder").to_owned();
        modules.read_file(&[], root, &beside);
        modules
    }

    /// The same of texts, each with the path of its module.
    pub(crate) fn of_texts(texts: &[(&str, &str)]) -> Modules {
        let mut modules = Modules::default();
        for (name, text) in texts {
            let name = name.split("::").filter(|part| !part.is_empty()).map(Into::into).collect();
            modules.add(name, text, "a text");
        }
        modules
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    fn read_file(&mut self, name: &[String], path: &Path, beside: &Path) {
        let text = fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("read {}: {error}", path.display()));
        for Child { name: child, path: given } in
            self.add(name.to_vec(), &text, &path.display().to_string())
        {
            let name = [name, std::slice::from_ref(&child)].concat();
            if let Some(given) = given {
                // The modules of such a file are beside it.
                let file = path.parent().expect("a folder").join(given);
                self.read_file(&name, &file, file.parent().expect("a folder"));
                continue;
            }
            let file = beside.join(format!("{child}.rs"));
            let folder = beside.join(&child);
            let file = if file.exists() { file } else { folder.join("mod.rs") };
            self.read_file(&name, &file, &folder);
        }
    }

    /// Takes in one module, and returns those that it declares in files of their own.
    fn add(&mut self, name: Name, text: &str, from: &str) -> Vec<Child> {
        let file = syn::parse_file(text).unwrap_or_else(|error| panic!("parse {from}: {error}"));
        let mut reader = Reader { at: &name, module: Module::default(), children: Vec::new() };
        reader.visit_file(&file);
        let Reader { module, children, .. } = reader;
        self.all.insert(name, module);
        children
    }

    /// The module that has the item, and the item.
    fn resolve(&self, path: &Name) -> Option<(Name, String)> {
        let mut path = path.clone();
        // A chain of re-exports ends; one that did not would be an error of the compiler.
        for _ in 0..16 {
            let depth =
                (0..=path.len()).rev().find(|depth| self.all.contains_key(&path[..*depth]))?;
            let (module, rest) = path.split_at(depth);
            let Some(item) = rest.first() else { return Some((module.to_vec(), String::new())) };
            match self.all[module].imports.get(item) {
                Some(target) if *target != path[..=depth] => {
                    path = [target.as_slice(), &rest[1..]].concat();
                }
                _ => return Some((module.to_vec(), item.clone())),
            }
        }
        None
    }

    /// Each module with the modules that it takes something from, and what.
    fn arrows(&self) -> BTreeMap<&Name, BTreeMap<Name, BTreeSet<String>>> {
        let mut arrows: BTreeMap<&Name, BTreeMap<Name, BTreeSet<String>>> = BTreeMap::new();
        for (from, module) in &self.all {
            let to = arrows.entry(from).or_default();
            for (target, item) in module.paths.iter().filter_map(|path| self.resolve(path)) {
                // A module named as a whole gives a name to what follows, which has its own arrow. A module and the
                // modules below it are one thing told in several files: what is above it may be used freely.
                if !from.starts_with(&target) && !item.is_empty() {
                    to.entry(target).or_default().insert(item);
                }
            }
        }
        arrows
    }

    /// Groups of modules in which each reaches each other, described.
    pub(crate) fn cycles(&self) -> Vec<String> {
        let arrows = self.arrows();
        let reach: BTreeMap<&Name, BTreeSet<Name>> =
            arrows.keys().map(|from| (*from, reachable(from, &arrows))).collect();
        let mut seen: BTreeSet<&Name> = BTreeSet::new();
        let mut cycles = Vec::new();
        for (from, reached) in &reach {
            if !reached.contains(*from) || seen.contains(from) {
                continue;
            }
            let group: Vec<&Name> = reach
                .iter()
                .filter(|(other, back)| reached.contains(**other) && back.contains(*from))
                .map(|(other, _)| *other)
                .collect();
            let mut lines = vec![format!("a cycle of {} modules:", group.len())];
            for one in &group {
                for (to, items) in &arrows[*one] {
                    if group.contains(&to) {
                        let items: Vec<&str> = items.iter().map(String::as_str).collect();
                        lines.push(format!(
                            "  {} -> {}: {}",
                            word(one),
                            word(to),
                            items.join(", ")
                        ));
                    }
                }
            }
            seen.extend(group);
            cycles.push(lines.join("\n"));
        }
        cycles
    }
}

fn word(name: &Name) -> String {
    if name.is_empty() { "the root".into() } else { name.join("::") }
}

fn reachable(
    from: &Name,
    arrows: &BTreeMap<&Name, BTreeMap<Name, BTreeSet<String>>>,
) -> BTreeSet<Name> {
    let mut reached = BTreeSet::new();
    let mut next = vec![from];
    while let Some(name) = next.pop() {
        for to in arrows.get(name).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(to.clone()) {
                next.push(to);
            }
        }
    }
    reached
}

/// Collects the paths of one file.
struct Reader<'a> {
    at: &'a Name,
    module: Module,
    children: Vec<Child>,
}

/// A module that is declared in a file.
struct Child {
    name: String,
    /// The file that a `path` attribute names.
    path: Option<String>,
}

impl Reader<'_> {
    /// A path as it is written, made absolute; `None` for one into another crate or to a local name.
    fn absolute(&self, segments: &[String]) -> Option<Name> {
        let mut name = self.at.clone();
        let mut rest = segments;
        match rest.first()?.as_str() {
            "crate" => {
                name.clear();
                rest = &rest[1..];
            }
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|part| part == "super") {
                    name.pop()?;
                    rest = &rest[1..];
                }
            }
            child if self.children.iter().any(|known| known.name == child) => {}
            _ => return None,
        }
        name.extend(rest.iter().cloned());
        Some(name)
    }

    fn import(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |part: &syn::Ident| [before, &[part.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.import(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) if name.ident == "self" => {
                let known = before.last().cloned().unwrap_or_default();
                self.imported(before, known);
            }
            syn::UseTree::Name(name) => self.imported(&with(&name.ident), name.ident.to_string()),
            syn::UseTree::Rename(rename) => {
                self.imported(&with(&rename.ident), rename.rename.to_string());
            }
            syn::UseTree::Glob(_) => self.imported(before, "*".into()),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before);
                }
            }
        }
    }

    fn imported(&mut self, path: &[String], known: String) {
        if let Some(path) = self.absolute(path) {
            self.module.paths.insert(path.clone());
            self.module.imports.insert(known, path);
        }
    }
}

impl Reader<'_> {
    fn take(&mut self, segments: &[String]) {
        if segments.len() < 2 {
            return;
        }
        if let Some(absolute) = self.absolute(segments) {
            self.module.paths.insert(absolute);
        } else if let Some(import) = self.module.imports.get(&segments[0]) {
            // An imported module, and an item of it.
            let path = [import.as_slice(), &segments[1..]].concat();
            self.module.paths.insert(path);
        }
    }

    fn take_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut colons) = (Name::new(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(word) if colons == 2 || path.is_empty() => {
                    path.push(word.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                    continue;
                }
                TokenTree::Ident(word) => {
                    self.take(&path);
                    path = vec![word.to_string()];
                }
                TokenTree::Group(group) => {
                    self.take(&path);
                    path.clear();
                    self.take_tokens(group.stream());
                }
                _ => {
                    self.take(&path);
                    path.clear();
                }
            }
            colons = 0;
        }
        self.take(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_file(&mut self, file: &'ast syn::File) {
        // First, since a path may begin with a module that is declared further down.
        for item in &file.items {
            if let syn::Item::Mod(module) = item
                && module.content.is_none()
                && !is_test(&module.attrs)
            {
                let name = module.ident.to_string();
                self.children.push(Child { name, path: given_path(&module.attrs) });
            }
        }
        visit::visit_file(self, file);
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attrs = match item {
            syn::Item::Mod(module) => &module.attrs,
            syn::Item::Use(import) => &import.attrs,
            syn::Item::Fn(function) => &function.attrs,
            syn::Item::Impl(block) => &block.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_test(attrs) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.import(&import.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Name = path.segments.iter().map(|part| part.ident.to_string()).collect();
        self.take(&segments);
        visit::visit_path(self, path);
    }

    /// What a macro is given, or makes, is tokens: paths are found by their colons.
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.take_tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }
}

/// Returns the file that an attribute `path` names.
fn given_path(attrs: &[syn::Attribute]) -> Option<String> {
    attrs.iter().filter(|attr| attr.path().is_ident("path")).find_map(|attr| {
        let named = attr.meta.require_name_value().ok()?;
        match &named.value {
            syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) => Some(path.value()),
            _ => None,
        }
    })
}

/// Whether the item exists in tests only.
fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || attr.path().is_ident("cfg")
                && attr.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}
