//! Units that run awskeep without a shell: a systemd timer of the user, a launchd agent. Pure.
//!
//! They run hourly what the hook runs when something is due. That is cheap: it reads the stores,
//! and asks AWS nothing before something is due.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};

/// The first line of a file that is ours, as far as its form lets us have one.
pub const MARK: &str = "written by awskeep setup";

/// The name that launchd knows the agent by.
pub const LABEL: &str = "awskeep.rotate";

const ARGUMENTS: [&str; 4] = ["rotate", "--if-due", "--all", "--no-input"];

/// Where a person's files are, if not where they usually are. systemd does not know what
/// a shell's startup file says of it, and would find nothing there, and do nothing.
pub const PLACES: [&str; 6] = [
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_DATA_HOME",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CA_BUNDLE",
];

/// The service and the timer: file name and text. `places` are variables with their values.
///
/// # Errors
/// `Kind::Usage` if a path means something else to systemd.
pub fn systemd(program: &Path, places: &[(&str, PathBuf)]) -> Result<[(&'static str, String); 2]> {
    let special = ['"', '\'', '\\', '$', '%'];
    let named = "name a plain absolute path with --helper-path";
    let program = plain(program, "a unit file", &special, named)?;
    let mut environment = String::new();
    for (name, path) in places {
        let hint = format!("name a plain absolute path in {name}, or unset it");
        let path = plain(path, "a unit file", &special, &hint)?;
        environment.push_str(&format!("Environment=\"{name}={path}\"\n"));
    }
    let service = format!(
        "# {MARK} --systemd; this also removes it: awskeep setup --systemd --remove\n\
         [Unit]\n\
         Description=Replace AWS keys that are due\n\
         \n\
         [Service]\n\
         Type=oneshot\n\
         Nice=10\n\
         # 7: begun, the next run continues.\n\
         SuccessExitStatus=7\n\
         {environment}\
         ExecStart=\"{program}\" {}\n",
        ARGUMENTS.join(" ")
    );
    let timer = format!(
        "# {MARK} --systemd; this also removes it: awskeep setup --systemd --remove\n\
         [Unit]\n\
         Description=Replace AWS keys that are due\n\
         \n\
         [Timer]\n\
         OnCalendar=hourly\n\
         RandomizedDelaySec=15min\n\
         Persistent=true\n\
         \n\
         [Install]\n\
         WantedBy=timers.target\n"
    );
    Ok([("awskeep.service", service), ("awskeep.timer", timer)])
}

/// The agent's property list.
///
/// # Errors
/// `Kind::Usage` if the program's path cannot stand in one.
pub fn launchd(program: &Path) -> Result<String> {
    let named = "name a plain absolute path with --helper-path";
    let program = plain(program, "a property list", &[], named)?
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let arguments: String = std::iter::once(program.as_str())
        .chain(ARGUMENTS)
        .map(|argument| format!("    <string>{argument}</string>\n"))
        .collect();
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <!-- {MARK} with launchd; this also removes it: setup, launchd, remove -->\n\
         <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n\
         <plist version=\"1.0\">\n\
         <dict>\n\
         \x20 <key>Label</key>\n  <string>{LABEL}</string>\n\
         \x20 <key>ProgramArguments</key>\n  <array>\n{arguments}  </array>\n\
         \x20 <key>StartInterval</key>\n  <integer>3600</integer>\n\
         \x20 <key>RunAtLoad</key>\n  <true/>\n\
         \x20 <key>ProcessType</key>\n  <string>Background</string>\n\
         \x20 <key>Nice</key>\n  <integer>10</integer>\n\
         </dict>\n\
         </plist>\n"
    ))
}

fn plain(path: &Path, what: &str, refused: &[char], hint: &str) -> Result<String> {
    let text = path.to_str().filter(|text| {
        let special = |c: char| c.is_control() || refused.contains(&c);
        path.is_absolute() && !text.contains(special)
    });
    text.map(str::to_owned).ok_or_else(|| {
        Error::new(
            Kind::Usage,
            format!("{} cannot be in {what}", path.display()),
        )
        .hint(hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stand_for_themselves() {
        let [(_, service), _] = systemd(Path::new("/o pt/awskeep"), &[]).unwrap();
        assert!(
            service.contains("\nExecStart=\"/o pt/awskeep\" rotate --if-due --all --no-input\n"),
            "{service}"
        );
        let plist = launchd(Path::new("/a&<b>/awskeep")).unwrap();
        assert!(
            plist.contains("<string>/a&amp;&lt;b&gt;/awskeep</string>"),
            "{plist}"
        );
        for bad in ["/a%h/awskeep", "/a\nb", "awskeep", "/a\"b"] {
            assert_eq!(
                systemd(Path::new(bad), &[]).unwrap_err().kind,
                Kind::Usage,
                "{bad}"
            );
        }
        let place = |path: &str| systemd(Path::new("/a"), &[("XDG_STATE_HOME", path.into())]);
        let [(_, service), _] = place("/my state").unwrap();
        assert!(
            service.contains("\nEnvironment=\"XDG_STATE_HOME=/my state\"\n"),
            "{service}"
        );
        assert_eq!(place("/100%").unwrap_err().kind, Kind::Usage);
    }
}
