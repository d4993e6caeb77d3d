//! A systemd of the test's own, on a socket that speaks D-Bus: its units' properties are files in a folder, so
//! that a test in another process can change them. It tells of changes as the real one does. (The real one:
//! tests/lab/unit.)

use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use zbus::fdo;
use zbus::zvariant::{OwnedObjectPath, Value};
use zbus::{Connection, Guid, connection, interface};

const SYSTEMD: &str = "/org/freedesktop/systemd1";
/// The units that there are: the files of the first have no prefix, those of the others their name.
const UNITS: [&str; 3] = ["den.service", "den-ivr-a.service", "den-ivr-b.service"];
const SLICE: &str = "/org/freedesktop/systemd1/unit/nowhere_2eslice";
const WHOLE: &str = "org.freedesktop.systemd1.Manager";

/// It serves for as long as it is held.
pub(crate) struct Systemd {
    _runtime: tokio::runtime::Runtime,
}

impl Systemd {
    /// Listens on `bus` in the folder; the unit's properties are the other files in it.
    pub(crate) fn start(folder: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let inside = runtime.enter();
        let listener = UnixListener::bind(folder.join("bus")).unwrap();
        drop(inside);
        let den = Den { folder: folder.to_owned(), unit: UNITS[0], connections: Arc::default() };
        for unit in UNITS {
            runtime.spawn(den.of(unit).tell_of_changes());
        }
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(den.clone().serve(stream));
            }
        });
        Self { _runtime: runtime }
    }
}

/// What DBUS_SYSTEM_BUS_ADDRESS has to say.
pub(crate) fn address(folder: &Path) -> String {
    format!("unix:path={}", folder.join("bus").display())
}

#[derive(Clone)]
struct Den {
    folder: PathBuf,
    unit: &'static str,
    connections: Arc<Mutex<Vec<Connection>>>,
}

impl Den {
    fn of(&self, unit: &str) -> Self {
        let unit = UNITS.into_iter().find(|it| *it == unit).unwrap_or_else(|| panic!("there is no {unit}"));
        Self { unit, ..self.clone() }
    }

    /// Where it is on the bus.
    fn path(&self) -> String {
        format!("{SYSTEMD}/unit/{}", self.unit.replace('-', "_2d").replace('.', "_2e"))
    }

    fn file(&self, name: &str) -> PathBuf {
        let prefix = if self.unit == UNITS[0] { String::new() } else { format!("{}-", self.unit) };
        self.folder.join(prefix + name)
    }

    fn read(&self, name: &str, absent: &str) -> String {
        fs::read_to_string(self.file(name)).map_or_else(|_| absent.to_owned(), |it| it.trim().to_owned())
    }

    fn write(&self, name: &str, text: &str) {
        let new = self.file(&format!("{name}.new"));
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file(name)).unwrap();
    }

    fn has(&self, name: &str) -> bool {
        self.folder.join(name).exists()
    }

    fn told(&self, what: &str) {
        // Hooks write there, too.
        let hooks = fs::OpenOptions::new().append(true).create(true).open(self.folder.join("hooks"));
        hooks.unwrap().write_all(format!("{what}\n").as_bytes()).unwrap();
    }

    async fn serve(self, stream: UnixStream) {
        let mut server = connection::Builder::unix_stream(stream)
            .server(Guid::generate())
            .unwrap()
            .p2p()
            .serve_at("/org/freedesktop/DBus", Driver)
            .unwrap()
            .serve_at(SYSTEMD, Whole(self.clone()))
            .unwrap()
            .serve_at(SLICE, Slice)
            .unwrap();
        for den in UNITS.map(|unit| self.of(unit)) {
            server = server.serve_at(den.path(), Unit(den.clone())).unwrap();
            server = server.serve_at(den.path(), Service(den)).unwrap();
        }
        if let Ok(connection) = server.build().await {
            self.connections.lock().unwrap().push(connection);
        }
    }

    async fn tell_of_changes(self) {
        let files = ["state", "sub", "result", "code", "status", "restarts", "job"];
        let look = || -> Vec<Option<(i64, i64, u64)>> {
            let stat = |name: &&str| {
                fs::metadata(self.file(name)).ok().map(|it| (it.mtime(), it.mtime_nsec(), it.ino()))
            };
            files.iter().map(stat).collect()
        };
        let mut before = look();
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if self.unit == UNITS[0] && self.has("restarts-bus") {
                fs::remove_file(self.folder.join("restarts-bus")).unwrap();
                let connections = std::mem::take(&mut *self.connections.lock().unwrap());
                for connection in connections {
                    let _closed = connection.close().await;
                }
            }
            let now = look();
            if now != before {
                before = now;
                let changed: (&str, HashMap<&str, Value<'_>>, Vec<&str>) =
                    ("org.freedesktop.systemd1.Unit", HashMap::new(), vec!["ActiveState"]);
                self.emit(&self.path(), "org.freedesktop.DBus.Properties", "PropertiesChanged", &changed)
                    .await;
            }
        }
    }

    async fn emit<B>(&self, path: &str, interface: &str, signal: &str, body: &B)
    where
        B: serde::Serialize + zbus::zvariant::DynamicType + Sync,
    {
        let connections = self.connections.lock().unwrap().clone();
        for connection in connections {
            let _sent = connection.emit_signal(None::<&str>, path, interface, signal, body).await;
        }
    }

    /// Does the job, and says that it is over.
    async fn work(self, job: OwnedObjectPath, unit: String, start: bool) {
        let result = match start {
            true if self.has("broken") => {
                for (name, text) in
                    [("result", "exit-code"), ("code", "1"), ("status", "7"), ("state", "failed")]
                {
                    self.write(name, text);
                }
                "failed"
            }
            true => {
                if self.has("procs") {
                    let child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
                    fs::write(self.read("procs", ""), child.id().to_string()).unwrap();
                }
                self.write("result", "success");
                self.write("state", "active");
                "done"
            }
            false if self.has("hangs") => {
                self.write("state", "deactivating");
                std::future::pending::<()>().await;
                "timeout"
            }
            false => {
                self.write("state", "inactive");
                "done"
            }
        };
        let number: u32 = job.rsplit('/').next().unwrap().parse().unwrap();
        self.emit(SYSTEMD, WHOLE, "JobRemoved", &(number, job, unit, result)).await;
    }
}

/// The bus itself.
struct Driver;

#[interface(name = "org.freedesktop.DBus")]
impl Driver {
    fn hello(&self) -> String {
        ":1.1".to_owned()
    }

    fn add_match(&self, _rule: &str) {}

    fn remove_match(&self, _rule: &str) {}
}

struct Whole(Den);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Whole {
    fn subscribe(&self) {}

    fn reset_failed_unit(&self, name: &str) {
        self.0.of(name).write("state", "inactive");
    }

    fn load_unit(&self, name: &str) -> OwnedObjectPath {
        let path = if name.ends_with(".slice") { SLICE.to_owned() } else { self.0.of(name).path() };
        OwnedObjectPath::try_from(path).unwrap()
    }

    fn start_unit(&self, name: &str, mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.job(name, mode, true)
    }

    fn stop_unit(&self, name: &str, mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.job(name, mode, false)
    }
}

impl Whole {
    fn job(&self, name: &str, mode: &str, start: bool) -> fdo::Result<OwnedObjectPath> {
        assert_eq!(mode, "replace");
        self.0.told(&format!("{} {name}", if start { "start" } else { "stop" }));
        if !start && self.0.has("refuses") {
            return Err(fdo::Error::Failed("not today".to_owned()));
        }
        let number = self.0.read("hooks", "").lines().count();
        let job = OwnedObjectPath::try_from(format!("{SYSTEMD}/job/{number}")).unwrap();
        tokio::spawn(self.0.of(name).work(job.clone(), name.to_owned(), start));
        Ok(job)
    }
}

struct Unit(Den);

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl Unit {
    #[zbus(property)]
    fn load_state(&self) -> String {
        "loaded".to_owned()
    }

    #[zbus(property)]
    fn active_state(&self) -> String {
        self.0.read("state", "inactive")
    }

    #[zbus(property)]
    fn sub_state(&self) -> String {
        self.0.read("sub", "")
    }

    #[zbus(property)]
    fn unit_file_state(&self) -> String {
        self.0.read("boot", "disabled")
    }

    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        (self.0.read("job", "0").parse().unwrap(), OwnedObjectPath::try_from("/").unwrap())
    }
}

struct Service(Den);

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        self.0.read("result", "success")
    }

    #[zbus(property)]
    fn exec_main_code(&self) -> i32 {
        self.0.read("code", "0").parse().unwrap()
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        self.0.read("status", "0").parse().unwrap()
    }

    #[zbus(property, name = "NRestarts")]
    fn restarts(&self) -> u32 {
        self.0.read("restarts", "0").parse().unwrap()
    }

    #[zbus(property)]
    fn control_group(&self) -> String {
        self.0.read("cgroup", "")
    }

    #[zbus(property)]
    fn slice(&self) -> String {
        "nowhere.slice".to_owned()
    }
}

struct Slice;

#[interface(name = "org.freedesktop.systemd1.Slice")]
impl Slice {
    #[zbus(property)]
    fn control_group(&self) -> String {
        "/standin-nowhere.slice".to_owned()
    }
}
