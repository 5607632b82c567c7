//! What can go wrong with a connection, each made for real between two hosts, for any client: the test examines ours with
//! it, the bench shows several side by side.

#![allow(dead_code, reason = "the test and the bench use different parts of it")]

mod established;
mod firewall;
mod handshake;
mod local;
mod names;
mod play;
mod silent;

use std::{
    fmt::Write,
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use tcpecho_lab::{
    Exit, Family, Launch, Matcher, Program, Side,
    host::Cable,
    stage::{Agent, Broken, PATIENCE, PORT, Stage},
    timeline::Stream,
};

pub(crate) use self::play::{all_in_parallel, play};

/// A situation: what is done, and what has to be said of it.
pub(crate) struct Situation {
    /// Its name, for people and filters.
    pub(crate) name: &'static str,
    /// What is wrong, in words.
    pub(crate) what: &'static str,
    pub(crate) family: Family,
    /// The case that `tcpecho connect --json` has to report.
    pub(crate) case: &'static str,
    /// Its ending.
    pub(crate) ending: &'static str,
    /// Its exit status.
    pub(crate) status: u8,
    /// What `tcpecho connect` is asked for besides, so that it does not take its usual patience.
    pub(crate) options: &'static [&'static str],
    /// The longest from the moment it could be noticed to the end of the client, in seconds; generous.
    pub(crate) within: u64,
    /// Brings it about.
    pub(crate) play: fn(&mut Scene<'_>) -> Result<(), Broken>,
}

/// A connection that was established and broke.
macro_rules! broken {
    ($name:literal, $family:ident, $case:literal, $ending:literal, $options:expr, $within:literal, $what:literal, $play:expr) => {
        $crate::situations::Situation {
            name: $name,
            what: $what,
            family: $family,
            case: $case,
            ending: $ending,
            status: 4,
            options: $options,
            within: $within,
            play: $play,
        }
    };
}
pub(crate) use broken;

/// Every situation.
pub(crate) fn situations() -> Vec<Situation> {
    [
        names::SITUATIONS,
        local::SITUATIONS,
        handshake::SITUATIONS,
        established::SITUATIONS,
        silent::SITUATIONS,
        firewall::SITUATIONS,
    ]
    .into_iter()
    .flat_map(|table| table.iter())
    .map(|row| Situation { ..*row })
    .collect()
}

impl Situation {
    /// The program without which it cannot be brought about, if that is not installed.
    pub(crate) fn lacks(&self) -> Option<&'static str> {
        (self.name.starts_with("nft-") && !is_installed("nft")).then_some("nft")
    }
}

/// Whether the shell finds such a program.
pub(crate) fn is_installed(program: &str) -> bool {
    let mut which = Command::new("sh");
    which.args(["-c", &format!("command -v {program}")]).stdout(Stdio::null());
    which.status().is_ok_and(|status| status.success())
}

/// What a client is to connect to, and how.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) family: Family,
    pub(crate) source: Option<String>,
    pub(crate) options: &'static [&'static str],
}

/// A client program.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) argv: fn(&Target) -> Vec<String>,
    /// How many descriptors it may have when it has none left for a socket; none where such a limit keeps it from
    /// starting.
    pub(crate) descriptors: Option<u32>,
}

/// Where a situation is played.
pub(crate) struct Scene<'a> {
    pub(crate) stage: Stage,
    situation: &'a Situation,
    tool: &'a Tool,
    /// The client that is examined, once started.
    client: Option<Program>,
    /// When it could be noticed, on the timeline.
    since: Duration,
    /// The client may not have ports below 1024.
    ordinary: bool,
    /// What only exists while the situation is played.
    kept: Vec<Agent>,
    files: Vec<PathBuf>,
}

impl Scene<'_> {
    /// Starts the client towards the server.
    pub(crate) fn connects(&mut self) -> Result<(), Broken> {
        let host = Side::Server.address(self.stage.family()).to_string();
        self.connects_to(&host, None, &[])
    }

    /// Starts it towards a name or address, from a source address, wrapped in another command.
    pub(crate) fn connects_to(
        &mut self,
        host: &str,
        source: Option<&str>,
        wrapper: &[String],
    ) -> Result<(), Broken> {
        let target = Target {
            host: host.into(),
            port: PORT,
            family: self.stage.family(),
            source: source.map(Into::into),
            options: self.situation.options,
        };
        let argv: Vec<String> = wrapper.iter().cloned().chain((self.tool.argv)(&target)).collect();
        let launch = Launch::new(&argv).named(self.tool.name).env("LC_ALL", "C");
        let launch = if self.ordinary { launch.with_ordinary_ports() } else { launch };
        self.since = self.stage.two().timeline.elapsed();
        self.client = Some(self.stage.two().client.launch(&launch)?);
        Ok(())
    }

    /// The client has connected, and the server has accepted it.
    pub(crate) fn meets(&mut self, server: &Agent) -> Result<(), Broken> {
        self.connects()?;
        server.must("0: accept")?;
        // The SYN-ACK has woken it; once it sleeps again it knows that it is connected.
        Ok(self.client()?.wait_asleep(PATIENCE)?)
    }

    /// As [`Scene::meets`], and five bytes have gone there and back.
    pub(crate) fn talks(&mut self, server: &Agent) -> Result<(), Broken> {
        self.meets(server)?;
        self.echoes(server, "hello")
    }

    /// Bytes go there and back, and the client has read them.
    pub(crate) fn echoes(&mut self, server: &Agent, text: &str) -> Result<(), Broken> {
        let mark = self.stage.two().timeline.mark();
        self.types(text)?;
        server.receive_all(text.len())?;
        server.must(&format!("send {text}"))?;
        let echo = Matcher::data().from_server().containing(text);
        self.stage.two().wire.wait_delivered(&echo, mark, PATIENCE)?;
        let host = &self.stage.two().client;
        host.wait_for_socket(self.stage.family(), "an empty queue", PATIENCE, |socket| {
            socket.remote.port() == PORT && socket.rqueue == 0
        })?;
        Ok(())
    }

    /// Types at it, without the end of a line.
    pub(crate) fn types(&self, text: &str) -> Result<(), Broken> {
        Ok(self.client()?.write(text.as_bytes())?)
    }

    pub(crate) fn client(&self) -> Result<&Program, Broken> {
        self.client.as_ref().ok_or_else(|| Broken::from(rustix::io::Errno::SRCH))
    }

    /// From here on it could be noticed.
    pub(crate) fn now(&mut self) {
        self.since = self.stage.two().timeline.elapsed();
    }

    /// The client is an ordinary user's, as far as ports go.
    pub(crate) fn is_ordinary(&mut self) {
        self.ordinary = true;
    }

    /// Keeps an agent until the end.
    pub(crate) fn keeps(&mut self, agent: Agent) {
        self.kept.push(agent);
    }

    /// How many descriptors leave the client none for its socket.
    pub(crate) fn descriptors(&self) -> Result<u32, Broken> {
        self.tool.descriptors.ok_or_else(|| Broken::from(rustix::io::Errno::MFILE))
    }

    /// A command that runs the rest of its line with these files in the place of those in /etc.
    pub(crate) fn with_etc(&mut self, files: &[(&str, &str)]) -> Result<Vec<String>, Broken> {
        let mut script = String::new();
        for (name, text) in files {
            let number = self.files.len();
            let unique = format!("tcpecho-{}-{}-{number}", std::process::id(), self.situation.name);
            let path = std::env::temp_dir().join(format!("{unique}-{}", self.tool.name));
            let write = fs::write(&path, text);
            write.map_err(|error| Broken::from(tcpecho_lab::Failed::at_io("write")(error)))?;
            let path = &path;
            let _ = write!(script, "mount --bind '{}' /etc/{name} || exit 99; ", path.display());
            self.files.push(path.clone());
        }
        script += "exec \"$@\"";
        Ok(["unshare", "--mount", "sh", "-c", &script, "sh"].map(String::from).into())
    }
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = fs::remove_file(file);
        }
    }
}

/// `tcpecho connect`, with these options besides.
pub(crate) fn ours(target: &Target, more: &[&str]) -> Vec<String> {
    let family = if target.family == Family::V4 { "-4" } else { "-6" };
    let mut argv: Vec<String> = vec![env!("CARGO_BIN_EXE_tcpecho").into(), "connect".into()];
    argv.extend(more.iter().chain(target.options).map(|&option| option.into()));
    if target.host.parse::<std::net::IpAddr>().is_ok() {
        argv.push(family.into());
    }
    if let Some(source) = &target.source {
        argv.extend(["-s".into(), source.clone()]);
    }
    argv.extend([target.host.clone(), target.port.to_string()]);
    argv
}
