//! Which names a module uses, found by parsing its source.
//!
//! This is not name resolution: it takes every path as it is written, makes relative ones absolute, and leaves out what
//! begins with a name the file itself imports or declares, since that import or declaration is looked at where it stands.
//! Code under `#[cfg(test)]` doesn't count; tests may use what they like.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, File, Item, ItemMod, Meta, UseTree};

/// One use of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The module it is used in, without the crate: `["maps", "live"]`.
    pub(super) module: Vec<String>,
    /// The name, from its crate on. The crate at hand is `crate`.
    pub(super) path: Vec<String>,
    /// Where.
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

impl Reference {
    /// Whether the using module is this one or below it.
    pub(super) fn is_in(&self, module: &[&str]) -> bool {
        starts_with(&self.module, module)
    }

    /// Whether the used name is this one or below it.
    pub(super) fn uses(&self, path: &[&str]) -> bool {
        starts_with(&self.path, path)
    }
}

fn starts_with(path: &[String], prefix: &[&str]) -> bool {
    path.len() >= prefix.len() && path.iter().zip(prefix).all(|(a, b)| a == b)
}

/// All references of a crate, from the file of its root on through its modules. `own_name` is what its binaries call it.
pub(super) fn of_crate(root: &Path, own_name: &str) -> Result<Vec<Reference>> {
    let folder = root.parent().context("a crate's root has no folder")?;
    let mut found = Vec::new();
    of_file(root, folder, &[], own_name, &mut found)?;
    Ok(found)
}

fn of_file(
    file: &Path,
    folder: &Path,
    module: &[String],
    own_name: &str,
    found: &mut Vec<Reference>,
) -> Result<()> {
    let source = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let parsed = syn::parse_file(&source).with_context(|| format!("parsing {}", file.display()))?;
    found.extend(of_source(&parsed, file, module, own_name));
    for child in children(&parsed.items) {
        let name = child.ident.to_string();
        let below = folder.join(&name);
        let explicit = child.attrs.iter().find_map(path_attribute);
        let candidates = match explicit {
            Some(path) => vec![file.with_file_name(path)],
            None => vec![folder.join(format!("{name}.rs")), below.join("mod.rs")],
        };
        let place = candidates.iter().find(|candidate| candidate.exists());
        let place = place
            .with_context(|| format!("{} declares the module {name}, which has no file", file.display()))?;
        of_file(place, &below, &[module, &[name]].concat(), own_name, found)?;
    }
    Ok(())
}

/// The modules a file declares that are files of their own, without those for tests.
fn children(items: &[Item]) -> impl Iterator<Item = &ItemMod> {
    let modules =
        items.iter().filter_map(|item| if let Item::Mod(module) = item { Some(module) } else { None });
    modules.filter(|module| module.content.is_none() && !is_for_tests(&module.attrs))
}

fn path_attribute(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(pair) = &attribute.meta else { return None };
    let syn::Expr::Lit(literal) = &pair.value else { return None };
    match &literal.lit {
        syn::Lit::Str(path) if pair.path.is_ident("path") => Some(path.value()),
        _ => None,
    }
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The references of one parsed file that is the module `module`.
pub(super) fn of_source(parsed: &File, file: &Path, module: &[String], own_name: &str) -> Vec<Reference> {
    let mut declared = Declared::default();
    declared.visit_file(parsed);
    let mut finder =
        Finder { file, own_name, declared: declared.names, module: module.to_vec(), found: Vec::new() };
    finder.visit_file(parsed);
    finder.found
}

/// The names a file declares as modules or imports: paths that begin with one of them say nothing new.
#[derive(Default)]
struct Declared {
    names: BTreeSet<String>,
}

impl<'ast> Visit<'ast> for Declared {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.names.insert(module.ident.to_string());
        visit::visit_item_mod(self, module);
    }

    fn visit_use_tree(&mut self, tree: &'ast UseTree) {
        match tree {
            UseTree::Name(name) => self.names.insert(name.ident.to_string()),
            UseTree::Rename(rename) => self.names.insert(rename.rename.to_string()),
            _ => false,
        };
        visit::visit_use_tree(self, tree);
    }
}

struct Finder<'a> {
    file: &'a Path,
    own_name: &'a str,
    declared: BTreeSet<String>,
    module: Vec<String>,
    found: Vec<Reference>,
}

impl Finder<'_> {
    fn record(&mut self, path: Vec<String>, line: usize) {
        let reference = Reference { module: self.module.clone(), path, file: self.file.to_owned(), line };
        if self.found.last() != Some(&reference) {
            self.found.push(reference);
        }
    }

    /// The path from its crate on, if it leads out of this module.
    fn absolute(&self, path: &[String], is_import: bool) -> Option<Vec<String>> {
        let (first, rest) = path.split_first()?;
        let crate_path =
            |module: &[String], rest: &[String]| Some([&["crate".to_owned()], module, rest].concat());
        match first.as_str() {
            "crate" => Some(path.to_vec()),
            name if name == self.own_name => crate_path(&[], rest),
            "self" => crate_path(&self.module, rest),
            "super" => {
                let supers = path.iter().take_while(|segment| *segment == "super").count();
                let above = self.module.len().checked_sub(supers)?;
                crate_path(&self.module[..above], &path[supers..])
            }
            // An import can only begin with a crate or with something declared here; a path within code also with a type.
            name if is_import => {
                if self.is_submodule(name) {
                    crate_path(&self.module, path)
                } else {
                    Some(path.to_vec())
                }
            }
            name if rest.is_empty() || self.declared.contains(name) || !may_be_crate(name) => None,
            _ => Some(path.to_vec()),
        }
    }

    fn is_submodule(&self, name: &str) -> bool {
        // `use foo::bar` beside `use other::foo` would be ambiguous to the compiler, so a declared name is a module here.
        self.declared.contains(name) && !matches!(name, "core" | "std" | "alloc")
    }

    fn walk_import(&mut self, tree: &UseTree, prefix: &[String]) {
        let line = tree.span().start().line;
        let with = |name: String| [prefix, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.walk_import(&path.tree, &with(path.ident.to_string())),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.walk_import(tree, prefix)),
            UseTree::Name(name) => self.record_import(&with(name.ident.to_string()), line),
            UseTree::Rename(rename) => self.record_import(&with(rename.ident.to_string()), line),
            UseTree::Glob(_) => self.record_import(&with("*".to_owned()), line),
        }
    }

    fn record_import(&mut self, path: &[String], line: usize) {
        if let Some(path) = self.absolute(path, true) {
            self.record(path, line);
        }
    }

    /// The paths in what a macro is given, which isn't parsed.
    fn walk_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let mut line = 0;
        let mut colons = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_of_path(&path, line);
                        path.clear();
                        line = ident.span().start().line;
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    self.end_of_path(&path, line);
                    path.clear();
                    colons = 0;
                    if let TokenTree::Group(group) = other {
                        self.walk_tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&path, line);
    }

    fn end_of_path(&mut self, path: &[String], line: usize) {
        if path.len() > 1
            && let Some(path) = self.absolute(path, false)
        {
            self.record(path, line);
        }
    }
}

/// Crates have lower-case names; so have primitive types, whose constants and functions look alike.
fn may_be_crate(name: &str) -> bool {
    const PRIMITIVES: [&str; 17] = [
        "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
        "isize", "f32", "f64",
    ];
    name.starts_with(|c: char| c.is_ascii_lowercase()) && !PRIMITIVES.contains(&name)
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(module) => &module.attrs,
            Item::Fn(function) => &function.attrs,
            Item::Use(import) => &import.attrs,
            Item::Impl(implementation) => &implementation.attrs,
            _ => return visit::visit_item(self, item),
        };
        if !is_for_tests(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        self.walk_import(&import.tree, &[]);
    }

    /// Attributes are the compiler's and its tools': `rustfmt::skip` is no crate.
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_item_extern_crate(&mut self, import: &'ast syn::ItemExternCrate) {
        self.record(vec![import.ident.to_string()], import.ident.span().start().line);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.end_of_path(&names, path.span().start().line);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast syn::Macro) {
        self.walk_tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }
}
