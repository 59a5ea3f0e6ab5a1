//! An exporter for Prometheus: a counter, a gauge and a histogram that a few threads keep moving.
#![forbid(unsafe_code)]

use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use tokio::signal::unix::{SignalKind, signal};

/// Threads that work.
const WORKERS: usize = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let buckets = Matcher::Full("work_seconds".into());
    let builder = PrometheusBuilder::new().with_http_listener(([0, 0, 0, 0], 9000));
    builder.set_buckets_for_metric(buckets, &[0.001, 0.01, 0.1])?.install()?;
    for worker in 0..WORKERS {
        std::thread::spawn(move || work(worker));
    }
    let mut stop = signal(SignalKind::terminate())?;
    println!("serving on 9000");
    stop.recv().await;
    println!("stopped");
    Ok(())
}

fn work(worker: usize) {
    let label = worker.to_string();
    metrics::gauge!("worker_number", "worker" => label.clone()).set(worker as f64);
    loop {
        metrics::counter!("work_done_total", "worker" => label.clone()).increment(1);
        metrics::histogram!("work_seconds").record(0.005);
        std::thread::sleep(Duration::from_millis(5));
    }
}
