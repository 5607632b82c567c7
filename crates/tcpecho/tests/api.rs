//! docs/api/tcpecho.txt lists the public interface of the crate, so that a change of it shows in a review.
//!
//! `TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test api` writes the page.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::{
    Attribute, Field, Fields, ImplItem, Item, ItemImpl, ItemMacro, Path as TypePath, TraitItem,
    Type, UseTree, Variant, Visibility,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/tcpecho.txt");

/// Types of the standard library that this crate's types are converted into.
const FOREIGN: [&str; 2] = ["OwnedFd", "TcpStream"];

#[test]
fn the_page_lists_the_interface() {
    let crate_ = Crate::read();
    let listing = format!(
        "# The public interface of tcpecho, without hidden items.\n\
         # Written by: TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test api\n\n{}",
        crate_.listing()
    );
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        fs::create_dir_all(Path::new(PAGE).parent().unwrap()).unwrap();
        fs::write(PAGE, &listing).unwrap();
    }
    let page = fs::read_to_string(PAGE).unwrap_or_default();
    let differs = page.lines().zip(listing.lines()).find(|(page, listing)| page != listing);
    assert!(
        page == listing,
        "docs/api/tcpecho.txt is not the interface, first difference: {differs:?}; \
         TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test api writes it"
    );
}

/// No type of a crate that is not the standard library is in a signature or a public field.
#[test]
fn the_interface_names_no_type_of_other_crates() {
    let listing = Crate::read().listing();
    for name in ["rustix", "tcpecho_os", "TcpInfo", "QueuedError", "TcpState", "OwnedSocket"] {
        assert!(!listing.contains(name), "{name}");
    }
}

/// The front page of the documentation has the table of faults.
#[test]
fn the_front_page_lists_the_presets() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/presets.md");
    let mut table =
        "| name | script | what the server does | ending |\n|---|---|---|---|\n".to_owned();
    for preset in tcpecho::PRESETS {
        let written = match preset.parameter {
            "" => preset.name.to_owned(),
            parameter => format!("{}={parameter}", preset.name),
        };
        let script = preset.script().map_or("*listener*".to_owned(), |script| {
            let steps: Vec<String> = script.steps().iter().map(ToString::to_string).collect();
            match preset.parameter {
                "" => format!("`{}`", steps.join("; ")),
                _ => format!("`{}`: `{}`", preset.example, steps.join("; ")),
            }
        });
        let (does, ending) = (preset.sentence, preset.ending);
        writeln!(table, "| `{written}` | {script} | {does} | {ending} |").unwrap();
    }
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        fs::write(page, &table).unwrap();
    }
    assert!(
        fs::read_to_string(page).unwrap_or_default() == table,
        "src/presets.md is not the table of PRESETS; \
         TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho --test api writes it"
    );
}

/// What the crate exports, and where its items are.
struct Crate {
    /// The exported names with the path of their module.
    exports: Vec<(String, String)>,
    /// The blocks of each item by its name: declaration, then members.
    items: BTreeMap<String, Vec<String>>,
    /// Lines that implementations add to a type.
    impls: BTreeMap<String, Vec<String>>,
    /// The names that a macro of this crate generates.
    generated: BTreeMap<String, Vec<String>>,
}

impl Crate {
    fn read() -> Self {
        let mut crate_ = Crate {
            exports: Vec::new(),
            items: BTreeMap::new(),
            impls: BTreeMap::new(),
            generated: BTreeMap::new(),
        };
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        crate_.read_module(&src, &src.join("lib.rs"), "tcpecho", true);
        crate_
    }

    /// Reads a file and the modules below it; `public` says whether its public items are reachable by its path.
    fn read_module(&mut self, directory: &Path, file: &Path, path: &str, public: bool) {
        let parsed = syn::parse_file(&fs::read_to_string(file).unwrap()).unwrap();
        for item in &parsed.items {
            match item {
                Item::Mod(module) if module.content.is_none() && !has(&module.attrs, "test") => {
                    let name = module.ident.to_string();
                    let public = public && is_public(&module.vis) && !has(&module.attrs, "hidden");
                    let file = directory.join(format!("{name}.rs"));
                    let path = format!("{path}::{name}");
                    self.read_module(&directory.join(&name), &file, &path, public);
                }
                Item::Use(exported) if public && is_public(&exported.vis) => {
                    self.export(&exported.tree, path);
                }
                Item::Impl(block) if !has(&block.attrs, "hidden") => self.read_impl(block),
                Item::Macro(invoked) => self.read_macro(invoked),
                item => self.read_item(item, path, public),
            }
        }
    }

    fn export(&mut self, tree: &UseTree, path: &str) {
        match tree {
            UseTree::Path(below) => self.export(&below.tree, path),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.export(tree, path)),
            UseTree::Name(name) => self.exports.push((name.ident.to_string(), path.into())),
            other => panic!("a glob or a renamed export: {}", text(other)),
        }
    }

    fn read_item(&mut self, item: &Item, path: &str, public: bool) {
        let Some((name, attrs, vis, block)) = declaration(item) else { return };
        if !is_public(vis) || has(attrs, "hidden") {
            return;
        }
        if public {
            self.exports.push((name.clone(), path.into()));
        }
        self.impls.entry(name.clone()).or_default().extend(derives(attrs));
        self.items.insert(name, block);
    }

    fn read_impl(&mut self, block: &ItemImpl) {
        let Type::Path(of) = &*block.self_ty else { return };
        let Some((path, ..)) = &block.trait_ else {
            let members = block.items.iter().filter_map(member);
            self.impls.entry(last(&of.path)).or_default().extend(members);
            return;
        };
        // A conversion into a type of the standard library belongs to the type that it is from.
        let source = first_idents(path.segments.last().unwrap().arguments.to_token_stream(), ',');
        let is_foreign = of.path.segments.len() > 1 || FOREIGN.contains(&last(&of.path).as_str());
        let (name, line) = match source.as_slice() {
            [source] if is_foreign => {
                (source.clone(), format!("impl {} for {}", text(path), text(of)))
            }
            _ => (last(&of.path), format!("impl {}", text(path))),
        };
        self.impls.entry(name).or_default().push(line);
    }

    /// `endings!` and `errnos!` generate the variants of [`tcpecho::Ending`] and the constants of [`tcpecho::Errno`].
    fn read_macro(&mut self, invoked: &ItemMacro) {
        let (of, separator) = match last(&invoked.mac.path).as_str() {
            "endings" => ("Ending", ';'),
            "errnos" => ("Errno", ','),
            _ => return,
        };
        let names = first_idents(invoked.mac.tokens.clone(), separator);
        self.generated.insert(of.into(), names);
    }

    fn listing(&self) -> String {
        let mut exports = self.exports.clone();
        exports.sort_by_key(|(name, path)| (path.clone(), name.clone()));
        let blocks = exports.iter().map(|(name, path)| self.block(name, path));
        blocks.collect()
    }

    fn block(&self, name: &str, path: &str) -> String {
        let (head, fields) = match self.items.get(name).map(Vec::as_slice) {
            Some([head, fields @ ..]) => (format!("{path}::{name}: {head}\n"), fields),
            // Made by a macro.
            _ => (format!("{path}::{name}\n"), [].as_slice()),
        };
        let generated = self.generated.get(name).into_iter().flatten();
        let mut impls = self.impls.get(name).cloned().unwrap_or_default();
        impls.sort_by_key(|line| (line.starts_with("impl "), line.clone()));
        let members = fields.iter().chain(generated).chain(&impls);
        let members: Vec<String> = members.map(|line| format!("    {line}\n")).collect();
        head + &members.concat()
    }
}

/// The name, attributes and visibility of an item, and its lines.
fn declaration(item: &Item) -> Option<(String, &[Attribute], &Visibility, Vec<String>)> {
    Some(match item {
        Item::Struct(one) => {
            let head = format!("{}struct{}", exhaustive(&one.attrs), text(&one.generics));
            let block = [vec![head], fields(&one.fields)].concat();
            (one.ident.to_string(), &one.attrs, &one.vis, block)
        }
        Item::Enum(one) => {
            let mut block = vec![format!("{}enum{}", exhaustive(&one.attrs), text(&one.generics))];
            block.extend(one.variants.iter().map(variant));
            (one.ident.to_string(), &one.attrs, &one.vis, block)
        }
        Item::Trait(one) => {
            let mut block = vec![format!("trait: {}", text(&one.supertraits))];
            block.extend(one.items.iter().filter_map(|item| match item {
                TraitItem::Fn(method) => Some(text(&method.sig)),
                _ => None,
            }));
            (one.ident.to_string(), &one.attrs, &one.vis, block)
        }
        Item::Fn(one) => (one.sig.ident.to_string(), &one.attrs, &one.vis, vec![text(&one.sig)]),
        Item::Const(one) => {
            (one.ident.to_string(), &one.attrs, &one.vis, vec![format!("const {}", text(&one.ty))])
        }
        Item::Static(one) => {
            (one.ident.to_string(), &one.attrs, &one.vis, vec![format!("static {}", text(&one.ty))])
        }
        _ => return None,
    })
}

/// A variant with its fields, without their documentation.
fn variant(variant: &Variant) -> String {
    let of = |field: &Field| match &field.ident {
        Some(name) => format!("{name}: {}", text(&field.ty)),
        None => text(&field.ty),
    };
    let fields: Vec<String> = variant.fields.iter().map(of).collect();
    match variant.fields {
        Fields::Named(_) => format!("{} {{ {} }}", variant.ident, fields.join(", ")),
        Fields::Unnamed(_) => format!("{}({})", variant.ident, fields.join(", ")),
        Fields::Unit => variant.ident.to_string(),
    }
}

fn fields(fields: &Fields) -> Vec<String> {
    // Hidden ones too: whoever writes or matches the struct needs their types.
    let shown = fields.iter().filter(|field| is_public(&field.vis));
    let named = shown.filter_map(|field| {
        field.ident.as_ref().map(|name| format!("{name}: {}", text(&field.ty)))
    });
    named.collect()
}

fn member(item: &ImplItem) -> Option<String> {
    match item {
        ImplItem::Fn(one) if is_public(&one.vis) && !has(&one.attrs, "hidden") => {
            Some(text(&one.sig))
        }
        ImplItem::Const(one) if is_public(&one.vis) && !has(&one.attrs, "hidden") => {
            Some(format!("const {}: {}", one.ident, text(&one.ty)))
        }
        _ => None,
    }
}

fn derives(attrs: &[Attribute]) -> Vec<String> {
    let derives = attrs.iter().filter(|attr| attr.path().is_ident("derive"));
    let lists = derives.filter_map(|attr| attr.meta.require_list().ok());
    let names = lists.flat_map(|list| first_idents(list.tokens.clone(), ','));
    let with_serde = attrs.iter().filter(|attr| attr.path().is_ident("cfg_attr"));
    let with_serde = with_serde.filter(|attr| text(&attr.meta).contains("serde::Serialize"));
    let names = names.chain(with_serde.map(|_| "Serialize".into()));
    names.map(|name| format!("impl {name}")).collect()
}

fn exhaustive(attrs: &[Attribute]) -> &'static str {
    if has(attrs, "non_exhaustive") { "non-exhaustive " } else { "" }
}

fn is_public(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

/// Whether an attribute, documentation apart, has this word: `hidden`, `test`, `non_exhaustive`.
fn has(attrs: &[Attribute], word: &str) -> bool {
    let words = |tokens: TokenStream| tokens.to_string().contains(word);
    let is_text = |attr: &&Attribute| matches!(attr.meta, syn::Meta::NameValue(_));
    attrs.iter().filter(|attr| !is_text(attr)).any(|attr| words(attr.meta.to_token_stream()))
}

fn last(path: &TypePath) -> String {
    path.segments.last().map_or(String::new(), |segment| segment.ident.to_string())
}

/// The first identifier after each separator, attributes apart.
fn first_idents(tokens: TokenStream, separator: char) -> Vec<String> {
    let mut found = Vec::new();
    let mut wanted = true;
    for tree in tokens {
        match tree {
            TokenTree::Ident(ident) if wanted => {
                found.push(ident.to_string());
                wanted = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == separator => wanted = true,
            _ => {}
        }
    }
    found
}

/// The tokens as people write them.
fn text(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string();
    let pairs = [
        (" ::", "::"),
        (":: ", "::"),
        (" ,", ","),
        (" :", ":"),
        ("& ", "&"),
        (" (", "("),
        ("( ", "("),
        (" )", ")"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ;", ";"),
        (",)", ")"),
        ("[ ", "["),
        (" ]", "]"),
        ("->(", "-> ("),
        ("(mut ", "("),
        (", mut ", ", "),
        ("crate::", ""),
    ];
    for (spaced, written) in pairs {
        text = text.replace(spaced, written);
    }
    text
}
