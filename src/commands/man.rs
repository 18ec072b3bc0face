//! `awskeep man`: the manual page, made from the command line's own help.

use clap::CommandFactory;

use crate::cli::{Cli, Man};
use crate::commands::Invocation;
use crate::error::{Error, Kind, Result};
use crate::system::disk;

pub fn run(context: &Invocation<'_>, args: &Man) -> Result<()> {
    let Some(folder) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command())
            .render(&mut page)
            .map_err(|error| bug(&error))?;
        return context.env.ui.data(&String::from_utf8_lossy(&page));
    };
    let folder = context.env.here.join(folder);
    if context.only_says(&[format!("write the pages into {}", folder.display())]) {
        return Ok(());
    }
    std::fs::create_dir_all(&folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder))
        .map_err(|error| disk::failed("write the pages into", &folder, &error))?;
    let line = format!("the pages are in {}", folder.display());
    context.done(&line, &serde_json::json!({ "folder": folder }))
}

fn bug(error: &std::io::Error) -> Error {
    Error::new(Kind::Bug, "the page cannot be made").cause(error)
}
