//! A small API by actix-web: counters that clients raise by POST and read by GET, as JSON.
//!
//! A worker thread for each CPU, an event loop in each; actix stops gracefully at SIGINT and SIGTERM.
#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::sync::Mutex;

use actix_web::{App, HttpResponse, HttpServer, Responder, get, post, web};
use serde::{Deserialize, Serialize};

type Counters = Mutex<HashMap<String, u64>>;

#[derive(Deserialize)]
struct Raise {
    by: u64,
}

#[derive(Serialize)]
struct Counter {
    name: String,
    value: u64,
}

#[get("/counters/{name}")]
async fn read(name: web::Path<String>, counters: web::Data<Counters>) -> impl Responder {
    let name = name.into_inner();
    let value = counters.lock().ok().and_then(|counters| counters.get(&name).copied());
    match value {
        Some(value) => HttpResponse::Ok().json(Counter { name, value }),
        None => HttpResponse::NotFound().finish(),
    }
}

#[post("/counters/{name}")]
async fn raise(name: web::Path<String>, raise: web::Json<Raise>, counters: web::Data<Counters>) -> impl Responder {
    let name = name.into_inner();
    let Ok(mut counters) = counters.lock() else { return HttpResponse::InternalServerError().finish() };
    let value = counters.entry(name.clone()).or_default();
    *value = value.saturating_add(raise.by);
    HttpResponse::Ok().json(Counter { name, value: *value })
}

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let counters = web::Data::new(Counters::default());
    let server = HttpServer::new(move || App::new().app_data(counters.clone()).service(read).service(raise));
    let server = server.bind(("0.0.0.0", 8080))?.run();
    println!("serving on 8080");
    server.await?;
    println!("stopped");
    Ok(())
}
