{{/* Mistakes in the value `tls`, and in values that depend on it. */}}

{{- define "pyrotee.validate.tls" -}}
{{- $config := fromYaml (include "pyrotee.config" .) }}
{{- $existing := .Values.existingConfigMap }}
{{- range include "pyrotee.tls" . | fromYamlArray }}
{{- $section := .value }}
{{- if eq .caKey "client-ca-file" }}
{{- $key := first .keys }}
{{- $own := index $config $key | default dict }}
{{- if not (index $own "cert-file") }}
- {{ $section }} has no certificate for the port; name the Secret with tls.crt and tls.key in {{ $section }}.secretName
{{- end }}
{{- if and (has .auth (list "request" "require")) (not (index $own "client-ca-file")) }}
- {{ $section }}.clientAuth is {{ .auth }}, and no authority verifies the certificates of clients; name a Secret with ca.crt in {{ $section }}.caSecretName
{{- end }}
{{- if and (eq .auth "none") .ca }}
- {{ $section }}.clientAuth is none, and {{ $section }}.caSecretName names authorities for the certificates of clients; remove one of both
{{- end }}
{{- if and .auth $existing }}
- {{ $section }}.clientAuth would not be read, because existingConfigMap is set; write {{ $key }}.client-auth into that ConfigMap
{{- end }}
{{- else if not $existing }}
{{- $at := $config }}
{{- range initial .keys }}
{{- $at = kindIs "map" $at | ternary (get (kindIs "map" $at | ternary $at dict) .) "" }}
{{- end }}
{{- if not (kindIs "map" $at) }}
- {{ $section }} belongs to no part of config; add config.{{ initial .keys | join "." }}, or correct its name
{{- else if hasPrefix "http://" ($at.address | default "" | toString) }}
- {{ $section }} is set, and config.{{ initial .keys | join "." }}.address is http://, which is never encrypted; write https://
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $given := .Values.tls.targets }}
{{- if not (or $given.secretName $given.caSecretName) }}
- tls.targets.{{ $name }} names no Secret; set secretName (tls.crt and tls.key, shown to the target) or caSecretName (ca.crt, which verifies the target), or remove it
{{- end }}
{{- end }}
{{- if include "pyrotee.tls.admin" . }}
{{- range $name := list "serviceMonitor" "podMonitor" }}
{{- $monitor := get $.Values.monitoring $name }}
{{- if $monitor.enabled }}
{{- if not (include "pyrotee.tls.scrape" (dict "tlsConfig" $monitor.tlsConfig "root" $)) }}
- config.admin-tls is set, and Prometheus cannot verify it with an empty monitoring.{{ $name }}.tlsConfig; write ca and serverName there, or name the Secret in tls.admin.secretName
{{- end }}
{{- if and (include "pyrotee.tls.requires" (list $ "admin-tls")) (not (or $monitor.tlsConfig.cert $monitor.tlsConfig.certFile)) }}
- the admin port requires certificates, and monitoring.{{ $name }}.tlsConfig has none for Prometheus; write {cert: {secret: {name: SECRET, key: tls.crt}}, keySecret: {name: SECRET, key: tls.key}} there, or set tls.admin.clientAuth: request
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .Values.test.clientSecretName (not (include "pyrotee.tls.listen" .)) }}
- test.clientSecretName is set, and the relay accepts no TLS; set tls.listen.secretName, or remove it
{{- end }}
{{- end }}
