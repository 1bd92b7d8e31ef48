{{/* Certificates of Secrets in the layout of cert-manager: where they are mounted, and the keys of the configuration that name them. */}}

{{/* The directory of certificates. It is one volume, so that all files of a Secret change at one moment. */}}
{{- define "pyrotee.tlsDir" -}}/run/secrets/pyrotee-tls{{- end }}

{{/*
The sections of the value `tls` that name a Secret, a list of: `value` (such as tls.listen), `keys` (the path of its section in the configuration),
`dir` (its directory below the directory of certificates), `caKey` (the key of ca.crt), `secret`, `ca` and `auth`.
*/}}
{{- define "pyrotee.tls" -}}
{{- $sections := list }}
{{- range $name := list "listen" "admin" }}
{{- $own := dict "value" (printf "tls.%s" $name) "keys" (list (printf "%s-tls" $name)) "dir" $name "caKey" "client-ca-file" }}
{{- $sections = append $sections (merge $own (dict "given" (get $.Values.tls $name))) }}
{{- end }}
{{- $sections = append $sections (dict "value" "tls.upstream" "keys" (list "upstream" "tls") "dir" "upstream" "caKey" "ca-file" "given" .Values.tls.upstream) }}
{{- $sections = append $sections (dict "value" "tls.shared" "keys" (list "shared" "tls") "dir" "shared" "caKey" "ca-file" "given" .Values.tls.shared) }}
{{- range $name, $given := .Values.tls.targets }}
{{- $own := dict "value" (printf "tls.targets.%s" $name) "keys" (list "remote-write" "targets" $name "tls") "dir" (printf "targets/%s" $name) "caKey" "ca-file" }}
{{- $sections = append $sections (merge $own (dict "given" ($given | default dict))) }}
{{- end }}
{{- range $sections }}
{{- $secret := tpl (.given.secretName | default "") $ }}
{{- $ca := tpl (.given.caSecretName | default "") $ }}
{{- $auth := .given.clientAuth | default "" }}
{{- if or $secret $ca $auth }}
- {{ merge (dict "secret" $secret "ca" $ca "auth" $auth) (omit . "given") | toJson }}
{{- end }}
{{- end }}
{{- end }}

{{/* Writes the paths of the certificates into a configuration, a map. Its own keys stay. Call with (dict "config" C "root" .). */}}
{{- define "pyrotee.tls.configure" -}}
{{- range include "pyrotee.tls" .root | fromYamlArray }}
{{- $dir := printf "%s/%s" (include "pyrotee.tlsDir" $.root) .dir }}
{{- $files := dict }}
{{- if .secret }}{{ $_ := set $files "cert-file" (printf "%s/tls.crt" $dir) }}{{ $_ := set $files "key-file" (printf "%s/tls.key" $dir) }}{{ end }}
{{- if .ca }}{{ $_ := set $files .caKey (printf "%s/ca.crt" $dir) }}{{ end }}
{{- with .auth }}{{ $_ := set $files "client-auth" . }}{{ end }}
{{- $at := $.config }}
{{- range initial .keys }}
{{- $at = kindIs "map" $at | ternary (get (kindIs "map" $at | ternary $at dict) .) "" }}
{{- end }}
{{- /* A section that is missing, such as a target, is reported by pyrotee.validate.tls. */}}
{{- if kindIs "map" $at }}
{{- $key := last .keys }}
{{- $_ := set $at $key (merge (deepCopy (get $at $key | default dict)) $files) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The sources of the volume of certificates; empty without any. */}}
{{- define "pyrotee.tls.sources" -}}
{{- range include "pyrotee.tls" . | fromYamlArray }}
{{- if .secret }}
- secret:
    name: {{ .secret | quote }}
    items:
      - { key: tls.crt, path: {{ .dir }}/tls.crt }
      - { key: tls.key, path: {{ .dir }}/tls.key }
{{- end }}
{{- if .ca }}
- secret:
    name: {{ .ca | quote }}
    items:
      - { key: ca.crt, path: {{ .dir }}/ca.crt }
{{- end }}
{{- end }}
{{- end }}

{{/* `true` if a listener speaks TLS, by `tls` or by `config`; else empty. */}}
{{- define "pyrotee.tls.listen" -}}{{ with include "pyrotee.config.get" (list . "listen-tls.cert-file" "") }}true{{ end }}{{- end }}
{{- define "pyrotee.tls.admin" -}}{{ with include "pyrotee.config.get" (list . "admin-tls.cert-file" "") }}true{{ end }}{{- end }}

{{/* `true` if a listener requires certificates of its clients; else empty. Call with (list . "listen-tls"). */}}
{{- define "pyrotee.tls.requires" -}}
{{- $root := index . 0 }}
{{- $default := include "pyrotee.config.get" (list $root (printf "%s.client-ca-file" (index . 1)) "") | empty | ternary "none" "require" }}
{{- if eq (include "pyrotee.config.get" (list $root (printf "%s.client-auth" (index . 1)) $default)) "require" }}true{{ end }}
{{- end }}

{{/* Name of the admin Service that its certificate must have. */}}
{{- define "pyrotee.adminName" -}}{{ include "pyrotee.fullname" . }}-admin.{{ include "pyrotee.namespace" . }}.svc{{- end }}

{{/*
TLS settings of a monitor, as YAML; empty without any. Where the chart knows the Secret of the admin port, a missing authority and a missing
server name are those of the Secret. Call with (dict "tlsConfig" T "root" .).
*/}}
{{- define "pyrotee.tls.scrape" -}}
{{- $settings := deepCopy (.tlsConfig | default dict) }}
{{- with tpl .root.Values.tls.admin.secretName .root }}
{{- if not (or (hasKey $settings "ca") (hasKey $settings "caFile") $settings.insecureSkipVerify) }}
{{- $_ := set $settings "ca" (dict "secret" (dict "name" . "key" "ca.crt")) }}
{{- end }}
{{- if not (or $settings.serverName $settings.insecureSkipVerify) }}
{{- $_ := set $settings "serverName" (include "pyrotee.adminName" $.root) }}
{{- end }}
{{- end }}
{{- with $settings }}
{{- toYaml . }}
{{- end }}
{{- end }}
