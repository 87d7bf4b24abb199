//! nginx: a `server` block that serves a published directory. It takes no reports.

use super::Exported;

pub(super) fn server(exported: &Exported) -> String {
    let rest = exported.url.split_once("://").map_or("", |(_, rest)| rest);
    let port =
        rest.rsplit_once(':').and_then(|(_, port)| port.split('/').next()?.parse::<u16>().ok()).unwrap_or(80);
    let Exported { fleet, root, .. } = exported;
    format!(
        "# Fleet {fleet}, for nginx: into conf.d/. Reports need `sledos serve`: without it sleds come up all the same.\n\
         server {{\n\
         \x20 listen {port};\n\
         \x20 root {root};\n\
         \x20 etag on;\n\
         \x20 sendfile on;\n\
         \x20 tcp_nopush on;\n\
         \x20 types {{ application/json json; text/plain ipxe minisig; application/efi efi; }}\n\
         \x20 default_type application/octet-stream;\n\
         \x20 location /v1/ {{ add_header Cache-Control no-cache; }}\n\
         \x20 location /images/ {{ }}\n\
         \x20 location /pxe/ {{ }}\n\
         \x20 location / {{ return 404; }}\n\
         }}\n"
    )
}
