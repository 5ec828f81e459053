use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use crate::{BenchError, machine};

/// An app that axum serves on threads of its own, so that what it costs can be told from what its clients do.
#[derive(Debug)]
pub(crate) struct App {
    threads: Threads,
    address: SocketAddr,
}

impl App {
    /// Serves the router that `build` comes to, on so many threads. `build` runs on them too, so that the tasks of a pool do
    /// which is made there; what it makes beside the router is handed back.
    pub(crate) async fn serve<T: Send + 'static>(
        threads: usize,
        build: impl Future<Output = Result<(Router, T), BenchError>> + Send + 'static,
    ) -> Result<(Self, T), BenchError> {
        let threads = Threads::start(threads)?;
        let starting = threads.runtime()?.spawn(async move {
            let (router, kept) = build.await?;
            let listener =
                TcpListener::bind(("127.0.0.1", 0)).await.map_err(BenchError::io("listening on loopback"))?;
            let address = listener.local_addr().map_err(BenchError::io("listening on loopback"))?;
            tokio::spawn(async move { axum::serve(listener, router).await });
            Ok::<_, BenchError>((address, kept))
        });
        let (address, kept) = starting.await.map_err(BenchError::turn)??;
        Ok((Self { threads, address }, kept))
    }

    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its threads have used so far. `None` where the kernel does not tell.
    pub(crate) fn processor(&self) -> Option<Duration> {
        machine::time_of_threads(&self.threads.name)
    }
}

/// Threads with a name of their own, which end in the background.
#[derive(Debug)]
struct Threads {
    name: String,
    runtime: Option<Runtime>,
}

impl Threads {
    fn start(threads: usize) -> Result<Self, BenchError> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let name = format!("app-{}", STARTED.fetch_add(1, Ordering::Relaxed));
        let runtime = Builder::new_multi_thread().worker_threads(threads).thread_name(&name).enable_all().build();
        Ok(Self { name, runtime: Some(runtime.map_err(BenchError::io("starting the app's threads"))?) })
    }

    fn runtime(&self) -> Result<&Runtime, BenchError> {
        self.runtime.as_ref().ok_or_else(|| BenchError::turn("the app has ended"))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
