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
    authentication: "src/authentication.md",
    backpressure: "src/backpressure.md",
    client: "src/client.md",
    clusters: "src/clusters.md",
    coming_from_node: "src/coming-from-node.md",
    coming_from_rust: "src/coming-from-rust.md",
    contracts: "src/contracts.md",
    crates: "src/crates.md",
    delivery: "src/delivery.md",
    deploying: "src/deploying.md",
    faq: "src/faq.md",
    first_server: "src/first-server.md",
    handlers: "src/handlers.md",
    introduction: "src/introduction.md",
    operating: "src/operating.md",
    performance: "src/performance.md",
    hostile: "src/hostile.md",
    rooms: "src/rooms.md",
    testing: "src/testing.md",
    troubleshooting: "src/troubleshooting.md",
    webtransport: "src/webtransport.md",
    readme: "../../README.md",
    readme_engineio_parser: "../../engineio-parser/README.md",
    readme_engineio_server: "../../engineio-server/README.md",
    readme_socketio_server: "../../socketio-server/README.md",
}
