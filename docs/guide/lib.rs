//! Compiles the Rust code blocks of the guide and of the READMEs as documentation tests, and runs
//! those that need no server. `SUMMARY.md` lists the chapters.

/// Makes each document a module, whose documentation tests are the code blocks of the document.
macro_rules! documents {
    ($($name:ident: $path:literal,)*) => {
        $(
            #[cfg(doctest)]
            #[doc = include_str!($path)]
            pub mod $name {}
        )*
    };
}

documents! {
    first_server: "src/first-server.md",
    readme: "../../README.md",
    readme_engineio_parser: "../../engineio-parser/README.md",
    readme_engineio_server: "../../engineio-server/README.md",
    readme_socketio_server: "../../socketio-server/README.md",
}
