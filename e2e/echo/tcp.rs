//! The app's raw TCP side: lines in, lines out, with or without a greeting.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::{Control, Workload};

/// Serves one connection until the client closes it; errors are the client's to notice.
pub(super) async fn serve(
    stream: impl AsyncRead + AsyncWrite,
    peer: SocketAddr,
    workload: &Workload,
    control: &Control,
    banner: bool,
) {
    let _ = talk(stream, peer, workload, control, banner).await;
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite,
    peer: SocketAddr,
    workload: &Workload,
    control: &Control,
    banner: bool,
) -> std::io::Result<()> {
    let (reader, mut writer) = tokio::io::split(stream);
    if banner {
        writer.write_all(format!("220 {} ready\r\n", workload.pod).as_bytes()).await?;
    }
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        control.requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(control.current_delay()).await;
        writer.write_all(format!("{} {peer} {line}\n", workload.pod).as_bytes()).await?;
    }
    Ok(())
}
