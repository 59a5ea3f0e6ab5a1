//! What a program's tasks do, by gRPC: tonic's client, and the messages of tokio-console's own crate.

use anyhow::{Context, Result, ensure};
use console_api::Id;
use console_api::field::{Name, Value};
use console_api::instrument::instrument_client::InstrumentClient;
use console_api::instrument::{
    InstrumentRequest, PauseRequest, ResumeRequest, StateRequest, TaskDetailsRequest, Temporality,
};
use console_api::tasks::Task;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::{awaited, crowd, rude};

/// Each follows the tasks until it has seen the program's two, then one of them in detail; and asks for what is not there.
pub(crate) async fn tasks(server: &str) -> Result<String> {
    let endpoint = Endpoint::from_shared(format!("http://{server}"))?;
    awaited(async || Ok(InstrumentClient::new(endpoint.connect().await?).watch_state(StateRequest {}).await?)).await;
    crowd(|_| watch(endpoint.clone())).await?;
    rude::leaves(server, b"PRI * HTTP/2.0\r\n\r\nSM").await?;
    rude::breaks_off(server, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x12\x01").await?;
    // A frame of 16 MiB, which nobody had allowed (RFC 9113 §4.2).
    let too_long = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\xff\xff\xff\0\0\0\0\0\x01";
    rude::is_answered(server, too_long).await?;
    pause(&mut InstrumentClient::new(endpoint.connect().await?)).await?;
    watch(endpoint).await?;
    Ok("tasks seen, one of them in detail".to_owned())
}

async fn watch(endpoint: Endpoint) -> Result<()> {
    let mut client = InstrumentClient::new(endpoint.connect().await?);
    let mut updates = client.watch_updates(InstrumentRequest {}).await?.into_inner();
    let mut seen: Vec<(String, Id)> = Vec::new();
    while !["task1", "task2"].iter().all(|name| seen.iter().any(|(seen, _)| seen == name)) {
        let update = updates.message().await?.context("the updates end")?;
        let tasks = update.task_update.into_iter().flat_map(|update| update.new_tasks);
        seen.extend(tasks.filter_map(|task| Some((name(&task)?, task.id?))));
    }
    let id = seen.iter().find(|(name, _)| name == "task1").map(|(_, id)| *id);
    let mut details = client.watch_task_details(TaskDetailsRequest { id }).await?.into_inner();
    let detail = details.message().await?.context("the details end")?;
    ensure!(detail.task_id == id, "details of {:?}, not of {id:?}", detail.task_id);
    ensure!(detail.poll_times_histogram.is_some(), "no histogram");
    let unknown = TaskDetailsRequest { id: Some(Id { id: u64::MAX }) };
    let refused = client.watch_task_details(unknown).await.err().context("a task that is not there has details")?;
    ensure!(refused.code() == Code::NotFound, "{refused}");
    let refused =
        client.watch_task_details(TaskDetailsRequest { id: None }).await.err().context("no task has details")?;
    ensure!(refused.code() == Code::InvalidArgument, "{refused}");
    Ok(())
}

fn name(task: &Task) -> Option<String> {
    let field =
        task.fields.iter().find(|field| matches!(&field.name, Some(Name::StrName(name)) if name == "task.name"))?;
    match field.value.as_ref()? {
        Value::StrVal(value) | Value::DebugVal(value) => Some(value.trim_matches('"').to_owned()),
        _ => None,
    }
}

/// The program stops telling, says so, and goes on.
async fn pause(client: &mut InstrumentClient<Channel>) -> Result<()> {
    let mut states = client.watch_state(StateRequest {}).await?.into_inner();
    client.pause(PauseRequest {}).await?;
    while states.message().await?.context("the states end")?.temporality() != Temporality::Paused {}
    client.resume(ResumeRequest {}).await?;
    while states.message().await?.context("the states end")?.temporality() != Temporality::Live {}
    Ok(())
}
