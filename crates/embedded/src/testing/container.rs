//! A Postgres in a container, which goes when our process does.

use std::{io, process::Stdio, str::FromStr as _, time::Duration};

use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};
use testcontainers::{
    ContainerAsync, ContainerRequest, GenericImage, ImageExt as _, TestcontainersError,
    bollard::models::{HostConfig, PortBinding},
    core::IntoContainerPort as _,
    runners::AsyncRunner as _,
};
use tokio::process::Command;

use super::choice::Image;
use crate::{
    StartError,
    cluster::SUPERUSER,
    cluster::random_password,
    guardian::{self, Guardian},
    postmaster::OFF_UNLESS_DURABLE,
};

/// How long the server may take until it answers.
const READY_LIMIT: Duration = Duration::from_secs(60);
/// Where Postgres listens inside of the container.
const PORT: u16 = 5432;
/// More than the engine's 64 MB, which parallel queries of many tests may exceed.
const SHARED_MEMORY: u64 = 256 << 20;

/// As it is, since the port is on loopback. For SCRAM a client computes thousands of hashes, which takes a debug build
/// tens of milliseconds, and sqlx gives way to other tasks after every fifth: a test that drops a future after so many
/// waits would count nothing else.
const HOW_A_PASSWORD_IS_SENT: &str = "password";

/// A running container with a server that answers.
#[derive(Debug)]
pub(super) struct Container {
    running: ContainerAsync<GenericImage>,
    port: u16,
    password: String,
    /// Removes the container when it is dropped or our process ends. A static is never dropped, and the destructor of
    /// `running` is not run in a process that is killed.
    _guardian: Guardian,
}

/// Why there is no container. The text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ContainerError {
    #[error(transparent)]
    Random(#[from] StartError),
    #[error("cannot run `sh`, which would remove the container at the end: {0}")]
    Guardian(io::Error),
    #[error(
        "cannot start a container of {image}: {source}. Does Docker run (`docker version`), is this a Postgres image, \
         and is it there (`docker pull {image}`)?"
    )]
    Start { image: String, source: TestcontainersError },
    #[error(
        "cannot run `docker`, which removes the container when this process is killed: {0}. Install Docker's client"
    )]
    NoClient(io::Error),
    #[error(
        "`docker` does not find the container that was just started: {0}. It would outlive the tests if this process \
         were killed. Set DOCKER_HOST to the engine's address, so that the client asks the same one"
    )]
    OtherEngine(String),
    #[error("Postgres in a container of {image} {what}; the end of its log:\n{log}")]
    NotReady { image: String, what: String, log: String },
}

impl Container {
    /// Starts a container of `image` and waits until its server answers. If the future is dropped, the container is
    /// removed.
    pub(super) async fn start(image: &Image, settings: &[(&str, &str)]) -> Result<Self, ContainerError> {
        let name = format!("forebay-test-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let password = random_password();
        // Before the container, so that it goes also if we are killed while it is made.
        let guardian = guardian::post_for_container(&name).map_err(ContainerError::Guardian)?;
        let request = request(image, &name, &password, settings);
        let failed = |source| ContainerError::Start { image: image.to_string(), source };
        let running = request.start().await.map_err(failed)?;
        let port = running.get_host_port_ipv4(PORT).await.map_err(failed)?;
        let container = Self { running, port, password, _guardian: guardian };
        known_to_client(&name).await?;
        container.ready(image).await?;
        Ok(container)
    }

    /// The address of `database`.
    pub(super) fn url(&self, database: &str) -> String {
        format!("postgres://{SUPERUSER}:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The last lines that the server and the image's entry point wrote, as far as they can be had.
    pub(super) async fn log(&self) -> String {
        let said = [self.running.stdout_to_vec().await, self.running.stderr_to_vec().await];
        said.map(|said| tail(&said.unwrap_or_default())).join("\n")
    }

    /// Waits until the server answers over TCP: the image's entry point first runs one on the unix socket alone.
    async fn ready(&self, image: &Image) -> Result<(), ContainerError> {
        let mut last = None;
        let answers = async {
            while let Err(error) = self.answers().await {
                last = Some(error);
                // An engine that cannot say it is asked again, until the limit.
                if let Ok(Some(code)) = self.running.exit_code().await {
                    return Some(code);
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            None
        };
        let what = match tokio::time::timeout(READY_LIMIT, answers).await {
            Ok(None) => return Ok(()),
            Ok(Some(code)) => format!("ended with exit code {code} while it started"),
            Err(_) => {
                let error = last.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
                format!("was not ready on 127.0.0.1:{} within {} s ({error})", self.port, READY_LIMIT.as_secs())
            }
        };
        Err(ContainerError::NotReady { image: image.to_string(), what, log: self.log().await })
    }

    async fn answers(&self) -> sqlx::Result<()> {
        let options = PgConnectOptions::from_str(&self.url("postgres"))?;
        let mut connection = PgConnection::connect_with(&options).await?;
        connection.ping().await?;
        connection.close().await
    }
}

fn request(image: &Image, name: &str, password: &str, settings: &[(&str, &str)]) -> ContainerRequest<GenericImage> {
    let off = OFF_UNLESS_DURABLE.map(|name| (name, "off"));
    let arguments = settings.iter().chain(&off).flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]);
    GenericImage::new(image.name.clone(), image.tag.clone())
        .with_exposed_port(PORT.tcp())
        .with_container_name(name)
        .with_env_var("POSTGRES_USER", SUPERUSER)
        .with_env_var("POSTGRES_PASSWORD", password)
        .with_env_var("POSTGRES_HOST_AUTH_METHOD", HOW_A_PASSWORD_IS_SENT)
        .with_env_var("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --locale=C.UTF-8 --no-sync")
        .with_shm_size(SHARED_MEMORY)
        .with_host_config_modifier(publish_on_loopback)
        .with_cmd(arguments)
}

/// Maps the server's port to one of this machine's that is free, and that other machines do not reach.
fn publish_on_loopback(host: &mut HostConfig) {
    let here = PortBinding { host_ip: Some("127.0.0.1".into()), host_port: Some(String::new()) };
    host.publish_all_ports = Some(false);
    host.port_bindings = Some([(PORT.tcp().to_string(), Some(vec![here]))].into());
}

/// Whether the guardian's `docker` asks the engine that started the container.
async fn known_to_client(name: &str) -> Result<(), ContainerError> {
    let mut asks = Command::new("docker");
    asks.args(["container", "inspect", "--format", "{{.Id}}", name]).stdin(Stdio::null()).kill_on_drop(true);
    let said = asks.output().await.map_err(ContainerError::NoClient)?;
    if said.status.success() {
        return Ok(());
    }
    Err(ContainerError::OtherEngine(String::from_utf8_lossy(&said.stderr).trim().to_owned()))
}

fn tail(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
