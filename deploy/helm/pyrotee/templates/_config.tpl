{{/*
The relay's configuration, and the values that the chart reads from it. The relay checks the values. A value that cannot be
read here is empty, so that users see the relay's better message.
*/}}

{{/* The content of the configuration file. */}}
{{- define "pyrotee.config" -}}
{{- $config := fromYaml (tpl (toYaml .Values.config) .) }}
{{- with $config.Error }}{{ fail (printf "config is no YAML after its templates were rendered: %s" .) }}{{ end }}
{{- with $config.tee }}
{{- /* Helm's YAML reads an unquoted key `on` as a boolean, which becomes the key "true". */}}
{{- if hasKey . "true" }}{{ $_ := set . "on" (get . "true") }}{{ $_ := unset . "true" }}{{ end }}
{{- end }}
{{- with include "pyrotee.adminHosts" . }}
{{- $_ := set $config "admin-hosts" (list (index $config "admin-hosts" | default "") . | compact | join ", ") }}
{{- end }}
{{- include "pyrotee.tls.configure" (dict "config" $config "root" .) }}
{{- if and .Values.shared.credsSecretName (kindIs "map" $config.shared) }}
{{- $auth := merge (deepCopy ($config.shared.auth | default dict)) (dict "creds-file" (printf "%s/nats.creds" (include "pyrotee.sharedDir" .))) }}
{{- $_ := set $config.shared "auth" $auth }}
{{- end }}
{{- /* With a shared backlog the volume is for a former spool, and for dead letters. */}}
{{- if and (ne (include "pyrotee.spool.volume" .) "none") (not $config.shared) }}
{{- $spool := $config.spool | default dict }}
{{- $size := include "pyrotee.bytes" .Values.spool.size }}
{{- $own := dict "dir" "/var/lib/pyrotee/spool" }}
{{- $letters := dict }}
{{- with $size }}
{{- $_ := set $own "max-bytes" (printf "%dMiB" (max 1 (div (mul (int64 .) 4) (mul 5 1024 1024)) | int64)) }}
{{- /* Dead letters are within the spool's directory; the relay refuses less than 1MiB for them. */}}
{{- $share := min 64 (div (int64 .) (mul 20 1024 1024)) | int64 }}
{{- $_ := set $letters "max-bytes" (eq $share 0 | ternary "0" (printf "%dMiB" $share)) }}
{{- end }}
{{- $_ := set $config "spool" (merge (deepCopy $spool) $own) }}
{{- $_ := set $config "dead-letters" (merge (deepCopy (index $config "dead-letters" | default dict)) $letters) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/*
Names of the chart's Services with the admin port that the relay does not accept by default: NAME.NAMESPACE. By default the relay
accepts NAME, NAME.NAMESPACE.svc and names that end in .cluster.local.
*/}}
{{- define "pyrotee.adminHosts" -}}
{{- $hosts := list }}
{{- if and (include "pyrotee.isWorkload" .) .Values.adminService.enabled }}
{{- $hosts = append $hosts (printf "%s-admin.%s" (include "pyrotee.fullname" .) (include "pyrotee.namespace" .)) }}
{{- end }}
{{- if eq .Values.mode "statefulset" }}
{{- $hosts = append $hosts (printf "*.%s-headless.%s" (include "pyrotee.fullname" .) (include "pyrotee.namespace" .)) }}
{{- end }}
{{- join ", " $hosts }}
{{- end }}

{{/* The value of one key of the configuration, `a.b.c`, as text; DEFAULT if absent. Call with (list . "a.b.c" DEFAULT). */}}
{{- define "pyrotee.config.get" -}}
{{- $value := fromYaml (include "pyrotee.config" (index . 0)) }}
{{- range splitList "." (index . 1) }}
{{- $value = kindIs "map" $value | ternary (get (kindIs "map" $value | ternary $value dict) .) "" }}
{{- end }}
{{- if kindIs "float64" $value }}{{ eq (floor $value) $value | ternary (int64 $value) $value }}
{{- else if or (kindIs "invalid" $value) (eq (toString $value) "") }}{{ index . 2 }}
{{- else }}{{ $value }}
{{- end }}
{{- end }}

{{/* Port of a listener: 4040 of `:4040` and `[::1]:4040`. Call with (list . "listen" ":4040"). */}}
{{- define "pyrotee.port" -}}
{{- $text := include "pyrotee.config.get" . }}
{{- if regexMatch ":[0-9]{1,5}$" $text }}{{ regexFind "[0-9]+$" $text | int }}{{ end }}
{{- end }}
{{- define "pyrotee.port.listen" -}}{{ include "pyrotee.port" (list . "listen" ":4040") }}{{- end }}
{{- define "pyrotee.port.admin" -}}{{ include "pyrotee.port" (list . "admin" ":4041") }}{{- end }}

{{/* Bytes of a size (64MiB, 1.5G, 5M) or of a quantity of Kubernetes (64Mi, 2Gi). */}}
{{- define "pyrotee.bytes" -}}
{{- $text := kindIs "float64" . | ternary (printf "%.0f" (float64 (kindIs "float64" . | ternary . 0))) (toString .) | lower | nospace }}
{{- if regexMatch "^[0-9]+(\\.[0-9]+)?([kmgtp]i?)?b?$" $text }}
{{- $number := regexFind "^[0-9.]+" $text | float64 }}
{{- $unit := regexFind "[kmgtp]i?" $text }}
{{- $factors := dict "" 1 "k" 1000 "m" 1000000 "g" 1000000000 "t" 1000000000000 "p" 1000000000000000 "ki" 1024 "mi" 1048576 "gi" 1073741824 "ti" 1099511627776 "pi" 1125899906842624 }}
{{- mulf $number (get $factors $unit) | int64 }}
{{- end }}
{{- end }}

{{/* Whole seconds of a duration of Go (1h30m, 1.5s), rounded up. */}}
{{- define "pyrotee.seconds" -}}
{{- $text := toString . }}
{{- if eq $text "0" }}0
{{- else if regexMatch "^([0-9]+(\\.[0-9]+)?(h|m|s|ms))+$" $text }}
{{- $sum := 0.0 }}
{{- range regexFindAll "[0-9.]+[hms]+" $text -1 }}
{{- $unit := regexFind "[hms]+$" . }}
{{- $sum = addf $sum (mulf (regexFind "^[0-9.]+" . | float64) (get (dict "h" 3600 "m" 60 "s" 1 "ms" 0.001) $unit)) }}
{{- end }}
{{- ceil $sum | int64 }}
{{- end }}
{{- end }}

{{/* The volume of the spool: none, emptyDir or claim. */}}
{{- define "pyrotee.spool.volume" -}}
{{- default (and (eq .Values.mode "statefulset") (not .Values.config.shared) | ternary "claim" "none") .Values.spool.volume }}
{{- end }}

{{/*
Most bytes that the process takes: the process itself, the bodies with the allocator's overhead, and the index of a spool's
profiles, which does not count against memory-limit. Measured: 16 MiB and 1.15 times the limit.
*/}}
{{- define "pyrotee.memory.bound" -}}
{{- with include "pyrotee.bytes" (include "pyrotee.config.get" (list . "memory-limit" "256MiB")) }}
{{- $limit := int64 . }}
{{- $bound := add 16777216 (div (mul $limit 115) 100) }}
{{- if include "pyrotee.config.get" (list $ "spool.dir" "") }}
{{- $bound = add $bound (min (div $limit 4) 67108864) }}
{{- end }}
{{- $bound }}
{{- end }}
{{- end }}

{{- define "pyrotee.preStopSeconds" -}}
{{/* The field `sleep` is older, but 1.29 refuses a hook whose only action is switched off by a feature gate. */}}
{{- if and (include "pyrotee.isWorkload" .) (semverCompare ">=1.30.0-0" .Capabilities.KubeVersion.Version) }}{{ .Values.preStopSeconds | int }}{{ else }}0{{ end }}
{{- end }}

{{/* Seconds that a stop may take: the preStop hook, shutdown.grace, and 5 to write the remaining profiles. */}}
{{- define "pyrotee.stopSeconds" -}}
{{- $grace := include "pyrotee.seconds" (include "pyrotee.config.get" (list . "shutdown.grace" "25s")) | default "25" }}
{{- add (int $grace) (int (include "pyrotee.preStopSeconds" .)) 5 }}
{{- end }}

{{/* With `restartOnChange`: an annotation that changes with the configuration and the chart's Secret. Else empty. */}}
{{- define "pyrotee.checksum" -}}
{{- if .Values.restartOnChange -}}
checksum/pyrotee: {{ list (include "pyrotee.config" .) (toYaml .Values.secrets.values) | join "\n" | sha256sum }}
{{- end }}
{{- end }}

{{/* The directory with a file for each key of the Secrets. */}}
{{- define "pyrotee.secretsDir" -}}/run/secrets/pyrotee{{- end }}

{{/* The directory with the credentials for NATS. */}}
{{- define "pyrotee.sharedDir" -}}/run/secrets/pyrotee-shared{{- end }}

{{/* Names of the Secrets in that directory, the chart's own first: a YAML list, empty without Secrets. */}}
{{- define "pyrotee.secretNames" -}}
{{- if .Values.secrets.values }}
- {{ include "pyrotee.fullname" . | quote }}
{{- end }}
{{- range .Values.secrets.existing }}
- {{ tpl . $ | quote }}
{{- end }}
{{- end }}

{{- define "pyrotee.configMapName" -}}
{{- default (include "pyrotee.fullname" .) (tpl .Values.existingConfigMap .) }}
{{- end }}
{{- define "pyrotee.configKey" -}}
{{- if .Values.existingConfigMap }}{{ .Values.existingConfigMapKey }}{{ else }}pyrotee.yaml{{ end }}
{{- end }}

{{/* Upstream and targets that have an address: a list of `key`, `host` (with port, without credentials) and `port`. */}}
{{- define "pyrotee.addresses" -}}
{{- $config := fromYaml (include "pyrotee.config" .) }}
{{- $all := dict "upstream.address" (($config.upstream | default dict).address | default "") }}
{{- range $name, $target := (index $config "remote-write" | default dict).targets | default dict }}
{{- $_ := set $all (printf "remote-write.targets.%s.address" $name) ($target.address | default "") }}
{{- end }}
{{- range $key, $address := $all }}
{{- /* Not urlParse, which fails at the ${VAR} of a password. */}}
{{- $address = regexReplaceAll "\\$\\{[^}]*\\}" (toString $address) "" }}
{{- if regexMatch "^https?://" $address }}
{{- $host := regexReplaceAll "^https?://([^@/]*@)?([^/]*).*$" $address "${2}" }}
{{- $port := regexFind ":[0-9]+$" $host | trimPrefix ":" | default (hasPrefix "https" $address | ternary "443" "80") }}
- key: {{ $key }}
  host: {{ $host | quote }}
  port: {{ $port }}
{{- end }}
{{- end }}
{{- end }}

{{/* The ports of upstream, targets and NATS, each once. */}}
{{- define "pyrotee.remotePorts" -}}
{{- $ports := list }}
{{- range include "pyrotee.addresses" . | fromYamlArray }}
{{- $ports = append $ports (int .port) }}
{{- end }}
{{- $shared := (fromYaml (include "pyrotee.config" .)).shared | default dict }}
{{- range $shared.servers | default list }}
{{- $ports = append $ports (regexFind ":[0-9]+$" (toString .) | trimPrefix ":" | default "4222" | int) }}
{{- end }}
{{- $ports | uniq | toYaml }}
{{- end }}
