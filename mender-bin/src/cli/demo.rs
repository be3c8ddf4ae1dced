use clap::Args;

/// The options of `demo`.
#[derive(Args)]
pub(crate) struct Demo {
    /// End when the deployment is done, instead of serving on.
    #[arg(long)]
    pub(crate) once: bool,
}
