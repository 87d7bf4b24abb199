//! An image that is fetched and verified, and kept nowhere: what simulated sleds do.

use super::{Error, Job, stream};

/// Fetches the job's image, every block verified. Returns how many bytes that were.
///
/// # Errors
/// When the source gives up.
pub fn check(job: &Job<'_>) -> Result<u64, Error> {
    let tree = stream::tree(job.source, job.image, job.log)?;
    stream::usr(job.source, &job.image.usr, &tree, 0, job.log, &mut |_, _| Ok(()))?;
    Ok(job.image.usr.size.saturating_add(job.image.verity.size))
}
