//! Clients. In a closed loop each client sends again after a response; in an open loop requests are due on a schedule
//! that does not wait for responses.
//!
//! `pyrotee-bench load` prints two lines of JSON: one at the end of the warm-up, so that the starter can begin to
//! measure, and one with the figures.

mod client;
mod figures;
mod schedule;

use std::{net::SocketAddr, path::PathBuf, rc::Rc};

use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, timeout_at},
};

use client::Client;
pub(crate) use client::Style;
use figures::Book;
pub(crate) use figures::{Figures, Window};
use schedule::Schedule;

use crate::{child::say, tls, wire::Bodies};

/// The arguments of `pyrotee-bench load`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Settings {
    /// Address to send to
    #[arg(long)]
    pub(crate) to: SocketAddr,
    /// Bytes of a body
    #[arg(long)]
    pub(crate) size: usize,
    /// Number of connections, which are kept open
    #[arg(long)]
    pub(crate) connections: usize,
    /// Requests per second; without it, every connection sends again after each response
    #[arg(long)]
    pub(crate) rate: Option<f64>,
    /// Seconds of measurement
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Seconds of warm-up before the measurement
    #[arg(long, default_value_t = 0.0)]
    pub(crate) warm_up: f64,
    /// Seconds to wait for missing responses after the measurement
    #[arg(long, default_value_t = 10.0)]
    pub(crate) patience: f64,
    /// End after this many requests, if earlier
    #[arg(long)]
    pub(crate) count: Option<u64>,
    /// The number of the first body
    #[arg(long, default_value_t = 0)]
    pub(crate) first: u64,
    /// How bodies are sent
    #[arg(long, value_enum, default_value_t)]
    pub(crate) style: Style,
    /// Open a new connection for every request
    #[arg(long)]
    pub(crate) anew: bool,
    /// Send over TLS, and trust the authority in this directory
    #[arg(long)]
    pub(crate) tls: Option<PathBuf>,
}

/// The line that a load prints when the measurement begins.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Measuring {
    pub(crate) measuring: bool,
}

/// Runs the load and prints its figures.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<()> {
    let bodies = Rc::new(Bodies::new(settings.size));
    let tls = settings.tls.as_deref().map(tls::client).transpose()?;
    let mut ready = Vec::new();
    for _ in 0..settings.connections {
        let mut client = Client::new(&settings, tls.clone(), Rc::clone(&bodies));
        client.connect().await?;
        ready.push(client);
    }
    let start = Instant::now();
    let counted = start + Duration::from_secs_f64(settings.warm_up);
    let end = counted + Duration::from_secs_f64(settings.seconds);
    let book = Book::new(counted, end);
    let schedule = Schedule::new(&settings, start, end)?;
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let mut clients = JoinSet::new();
            for client in ready {
                let (schedule, book) = (Rc::clone(&schedule), Rc::clone(&book));
                clients.spawn_local(work(client, schedule, book));
            }
            let ticking = Rc::clone(&schedule);
            let clock = tokio::task::spawn_local(async move { ticking.run().await });
            tokio::time::sleep_until(counted).await;
            say(&Measuring { measuring: true })?;
            clock.await??;
            let last = Instant::now() + Duration::from_secs_f64(settings.patience);
            while let Ok(Some(_)) = timeout_at(last, clients.join_next()).await {}
            clients.abort_all();
            say(&book.close(&schedule.unsent(), schedule.issued()))
        })
        .await
}

async fn work(mut client: Client, schedule: Rc<Schedule>, book: Rc<Book>) {
    while let Some(ticket) = schedule.next().await {
        book.sent(ticket);
        let response = client.exchange(ticket.number).await;
        book.answered(ticket, response);
    }
}
