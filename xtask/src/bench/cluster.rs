//! `cargo xtask bench cluster`: compares broadcasts between two of our nodes with broadcasts
//! between two of Node's, on each engine in the same run.

use std::process::{Command, ExitCode};

use crate::workspace::Workspace;
use crate::{npm, process};

pub(super) fn main(workspace: &Workspace, args: &[String]) -> Result<ExitCode, String> {
    let rounds = match args {
        [] => "3",
        [flag, number] if flag == "--rounds" && number.parse::<u32>().is_ok_and(|it| it > 0) => {
            number
        }
        _ => return Err("usage: cargo xtask bench cluster [--rounds N]".to_owned()),
    };
    let folder = workspace.target("interop");
    npm::install_copy(&workspace.root.join("interop"), &folder)?;
    let mut node = Command::new("node");
    node.env("CLUSTER_NODE", workspace.measured_rig("cluster")?);
    node.env("ENGINES", workspace.programs()?.bin("engines"));
    process::run_ok(node.current_dir(&folder).args(["bench/cluster.mjs", rounds]))?;
    Ok(ExitCode::SUCCESS)
}
