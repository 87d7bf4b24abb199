//! The flags of the agent, their kinds and defaults: Mesos's `docs/configuration/agent.md`
//! and `src/slave/flags.cpp`. Those nobody acts on here are taken and shown all the same.

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A path, never replaced by what is in the file.
    Path,
    /// `true` or `false`.
    Bool,
    /// `10mins`.
    Duration,
    /// A number.
    Number,
    /// A TCP port.
    Port,
    /// `2GB`.
    Bytes,
    /// JSON.
    Json,
}

/// A flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Name, without dashes.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not given.
    pub default: Option<&'static str>,
}

const fn flag(name: &'static str, kind: Kind) -> Flag {
    Flag { name, kind, default: None }
}

const fn with(name: &'static str, kind: Kind, default: &'static str) -> Flag {
    Flag { name, kind, default: Some(default) }
}

/// Finds a flag by its name or the old name it still has.
pub fn find(known: &'static [Flag], name: &str) -> Option<&'static Flag> {
    let name = if name == "slave_subsystems" { "agent_subsystems" } else { name };
    known.iter().find(|f| f.name == name)
}

/// Those of the stand-in master.
pub const MASTER: &[Flag] = &[
    with("authenticate_agents", Kind::Bool, "false"),
    flag("cluster", Kind::Text),
    flag("credentials", Kind::Text),
    flag("domain", Kind::Json),
    with("help", Kind::Bool, "false"),
    with("ip", Kind::Text, "0.0.0.0"),
    with("port", Kind::Port, "5050"),
    with("version", Kind::Bool, "false"),
];

/// Those of the agent.
pub const AGENT: &[Flag] = &[
    flag("acls", Kind::Text),
    flag("advertise_ip", Kind::Text),
    flag("advertise_port", Kind::Text),
    flag("agent_features", Kind::Json),
    flag("agent_subsystems", Kind::Text),
    flag("allowed_devices", Kind::Json),
    with("appc_simple_discovery_uri_prefix", Kind::Text, "http://"),
    with("appc_store_dir", Kind::Text, "/tmp/mesos/store/appc"),
    flag("attributes", Kind::Text),
    with("authenticate_http_executors", Kind::Bool, "false"),
    with("authenticate_http_readonly", Kind::Bool, "false"),
    with("authenticate_http_readwrite", Kind::Bool, "false"),
    with("authenticatee", Kind::Text, "crammd5"),
    with("authentication_backoff_factor", Kind::Duration, "1secs"),
    with("authentication_timeout_max", Kind::Duration, "1mins"),
    with("authentication_timeout_min", Kind::Duration, "5secs"),
    with("authorizer", Kind::Text, "local"),
    flag("bounding_capabilities", Kind::Json),
    with("cgroups_cpu_enable_pids_and_tids_count", Kind::Bool, "false"),
    with("cgroups_destroy_timeout", Kind::Duration, "1mins"),
    with("cgroups_enable_cfs", Kind::Bool, "false"),
    with("cgroups_hierarchy", Kind::Text, "/sys/fs/cgroup"),
    with("cgroups_limit_swap", Kind::Bool, "false"),
    flag("cgroups_net_cls_primary_handle", Kind::Text),
    flag("cgroups_net_cls_secondary_handles", Kind::Text),
    with("cgroups_root", Kind::Text, "mesos"),
    with("check_agent_port_range_only", Kind::Bool, "false"),
    with("container_disk_watch_interval", Kind::Duration, "15secs"),
    with("container_logger", Kind::Text, "org_apache_mesos_SandboxContainerLogger"),
    with("container_ports_watch_interval", Kind::Duration, "30secs"),
    with("containerizers", Kind::Text, "mesos"),
    flag("credential", Kind::Path),
    flag("csi_plugin_config_dir", Kind::Text),
    flag("default_container_dns", Kind::Json),
    flag("default_container_info", Kind::Json),
    with("default_role", Kind::Text, "*"),
    flag("default_shm_size", Kind::Bytes),
    with("disallow_sharing_agent_ipc_namespace", Kind::Bool, "false"),
    with("disallow_sharing_agent_pid_namespace", Kind::Bool, "false"),
    flag("disk_profile_adaptor", Kind::Text),
    with("disk_watch_interval", Kind::Duration, "1mins"),
    with("docker", Kind::Text, "docker"),
    flag("docker_config", Kind::Text),
    with("docker_ignore_runtime", Kind::Bool, "false"),
    with("docker_kill_orphans", Kind::Bool, "true"),
    flag("docker_mesos_image", Kind::Text),
    with("docker_registry", Kind::Text, "https://registry-1.docker.io"),
    with("docker_remove_delay", Kind::Duration, "6hrs"),
    with("docker_socket", Kind::Text, "/var/run/docker.sock"),
    with("docker_stop_timeout", Kind::Duration, "0ns"),
    with("docker_store_dir", Kind::Text, "/tmp/mesos/store/docker"),
    with("docker_volume_checkpoint_dir", Kind::Text, "/var/run/mesos/isolators/docker/volume"),
    with("docker_volume_chown", Kind::Bool, "false"),
    flag("domain", Kind::Json),
    flag("effective_capabilities", Kind::Json),
    flag("egress_flow_classifier_parent", Kind::Text),
    flag("egress_rate_limit_per_container", Kind::Bytes),
    with("egress_unique_flow_per_container", Kind::Bool, "false"),
    with("enforce_container_disk_quota", Kind::Bool, "false"),
    with("enforce_container_ports", Kind::Bool, "false"),
    with("ephemeral_ports_per_container", Kind::Number, "1024"),
    flag("eth0_name", Kind::Text),
    flag("executor_environment_variables", Kind::Json),
    with("executor_registration_timeout", Kind::Duration, "1mins"),
    flag("executor_reregistration_retry_interval", Kind::Duration),
    with("executor_reregistration_timeout", Kind::Duration, "2secs"),
    with("executor_shutdown_grace_period", Kind::Duration, "5secs"),
    flag("external_log_file", Kind::Text),
    with("fetcher_cache_dir", Kind::Text, "/tmp/mesos/fetch"),
    with("fetcher_cache_size", Kind::Bytes, "2GB"),
    with("fetcher_stall_timeout", Kind::Duration, "1mins"),
    flag("firewall_rules", Kind::Text),
    flag("frameworks_home", Kind::Text),
    with("gc_delay", Kind::Duration, "1weeks"),
    with("gc_disk_headroom", Kind::Number, "0.1"),
    with("gc_non_executor_container_sandboxes", Kind::Bool, "false"),
    flag("hadoop_home", Kind::Text),
    with("help", Kind::Bool, "false"),
    flag("hooks", Kind::Text),
    flag("host_path_volume_force_creation", Kind::Text),
    flag("hostname", Kind::Text),
    with("hostname_lookup", Kind::Bool, "true"),
    with("http_command_executor", Kind::Bool, "false"),
    flag("http_credentials", Kind::Path),
    flag("http_executor_authn_domain", Kind::Text),
    with("http_heartbeat_interval", Kind::Duration, "30secs"),
    flag("image_gc_config", Kind::Text),
    flag("image_providers", Kind::Text),
    flag("image_provisioner_backend", Kind::Text),
    with("initialize_driver_logging", Kind::Bool, "true"),
    flag("ip", Kind::Text),
    flag("ip6", Kind::Text),
    flag("ip6_discovery_command", Kind::Text),
    flag("ip_discovery_command", Kind::Text),
    with("isolation", Kind::Text, "posix/cpu,posix/mem"),
    flag("jwt_secret_key", Kind::Path),
    flag("launcher", Kind::Text),
    with("launcher_dir", Kind::Text, "/usr/libexec/mesos"),
    flag("lo_name", Kind::Text),
    flag("log_dir", Kind::Text),
    with("logbufsecs", Kind::Number, "0"),
    with("logging_level", Kind::Text, "INFO"),
    flag("master", Kind::Text),
    flag("master_detector", Kind::Text),
    with("max_completed_executors_per_framework", Kind::Number, "150"),
    with("memory_profiling", Kind::Bool, "false"),
    flag("modules", Kind::Text),
    flag("modules_dir", Kind::Text),
    flag("network_cni_config_dir", Kind::Text),
    with("network_cni_metrics", Kind::Bool, "true"),
    flag("network_cni_plugins_dir", Kind::Text),
    with("network_cni_root_dir_persist", Kind::Bool, "false"),
    with("network_enable_snmp_statistics", Kind::Bool, "false"),
    with("network_enable_socket_statistics_details", Kind::Bool, "false"),
    with("network_enable_socket_statistics_summary", Kind::Bool, "false"),
    flag("nvidia_gpu_devices", Kind::Text),
    with("oversubscribed_resources_interval", Kind::Duration, "15secs"),
    with("perf_duration", Kind::Duration, "10secs"),
    flag("perf_events", Kind::Text),
    with("perf_interval", Kind::Duration, "1mins"),
    with("port", Kind::Port, "5051"),
    flag("qos_controller", Kind::Text),
    with("qos_correction_interval_min", Kind::Duration, "0ns"),
    with("quiet", Kind::Bool, "false"),
    with("reconfiguration_policy", Kind::Text, "equal"),
    with("recover", Kind::Text, "reconnect"),
    with("recovery_timeout", Kind::Duration, "15mins"),
    with("registration_backoff_factor", Kind::Duration, "1secs"),
    flag("resource_estimator", Kind::Text),
    flag("resource_provider_config_dir", Kind::Text),
    flag("resources", Kind::Text),
    with("revocable_cpu_low_priority", Kind::Bool, "true"),
    with("runtime_dir", Kind::Text, "/var/run/mesos"),
    with("sandbox_directory", Kind::Text, "/mnt/mesos/sandbox"),
    flag("seccomp_config_dir", Kind::Text),
    flag("seccomp_profile_name", Kind::Text),
    flag("secret_resolver", Kind::Text),
    with("strict", Kind::Bool, "true"),
    with("switch_user", Kind::Bool, "true"),
    with("systemd_enable_support", Kind::Bool, "true"),
    with("systemd_runtime_directory", Kind::Text, "/run/systemd/system"),
    with("version", Kind::Bool, "false"),
    flag("volume_gid_range", Kind::Text),
    flag("work_dir", Kind::Text),
    with("xfs_kill_containers", Kind::Bool, "false"),
    with("xfs_project_range", Kind::Text, "[5000-10000]"),
    with("zk_session_timeout", Kind::Duration, "10secs"),
];
