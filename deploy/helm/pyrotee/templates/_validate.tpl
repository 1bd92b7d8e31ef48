{{/*
Reports mistakes in the values that the relay or Kubernetes would report later or never: all at once, each with a remedy. The
relay itself checks the values of single keys of `config` (`pyrotee check`).
*/}}

{{- define "pyrotee.validate" -}}
{{- $faults := "" }}
{{- range list "names" "image" "config" "secrets" "shared" "spool" "listeners" "resources" "stop" "mode" "scaling" "budget" "network" "monitoring" "tls" }}
{{- $faults = printf "%s%s" $faults (include (printf "pyrotee.validate.%s" .) $) }}
{{- end }}
{{- with $faults }}
{{- fail (printf "\n\nThe values of pyrotee have faults:\n%s" .) }}
{{- end }}
{{- end }}

{{- define "pyrotee.validate.image" -}}
{{- if not (or .Values.image.registry (.Values.global | default dict).imageRegistry) }}
- image.registry is empty, and no image of pyrotee is published; build one (deploy/docker/README.md), push it, and name its registry, such as registry.example.com; for an image that is loaded into the nodes, write docker.io/library
{{- end }}
{{- end }}

{{- define "pyrotee.validate.config" -}}
{{- $config := fromYaml (include "pyrotee.config" .) }}
{{- $remote := index $config "remote-write" | default dict }}
{{- $on := eq (toString $remote.enabled) "true" }}
{{- $relayOnly := and $on (eq (toString (index $remote "disable-local-writes")) "true") }}
{{- if .Values.existingConfigMap }}
{{- range list "upstream" "remote-write" }}
{{- if hasKey $config . }}
- config.{{ . }} would not be read, because existingConfigMap is set; move it into that ConfigMap, or remove existingConfigMap
{{- end }}
{{- end }}
{{- else }}
{{- if not (or ($config.upstream | default dict).address $relayOnly) }}
- config.upstream.address is missing; name your Pyroscope, such as http://pyroscope.{{ include "pyrotee.namespace" . }}.svc:4040, or set config.remote-write.enabled and disable-local-writes to true for a relay without one
{{- end }}
{{- if and $on (not $remote.targets) }}
- config.remote-write.targets is empty though enabled is true; add a target, or set enabled to false
{{- end }}
{{- range $name, $target := $remote.targets | default dict }}
{{- if not ($target | default dict).address }}
- config.remote-write.targets.{{ $name }}.address is missing; write http://HOST or https://HOST
{{- end }}
{{- end }}
{{- end }}
{{- if include "pyrotee.isWorkload" . }}
{{- $name := include "pyrotee.fullname" . }}
{{- $own := list $name (printf "%s.%s" $name (include "pyrotee.namespace" .)) (printf "%s.%s.svc" $name (include "pyrotee.namespace" .)) (printf "%s.%s.svc.cluster.local" $name (include "pyrotee.namespace" .)) }}
{{- range include "pyrotee.addresses" . | fromYamlArray }}
{{- if has (regexReplaceAll "\\.?(:[0-9]+)?$" .host "") $own }}
- config.{{ .key }} is {{ .host }}, the Service of this release itself; name what is behind it, or change fullnameOverride
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "pyrotee.validate.secrets" -}}
{{- $config := fromYaml (include "pyrotee.config" .) }}
{{- $remedy := "would stand readable in a ConfigMap; write ${file:/run/secrets/pyrotee/NAME} here and NAME into secrets.values, or into a Secret named by secrets.existing" }}
{{- if include "pyrotee.isClear" (index $config "admin-token") }}
- config.admin-token {{ $remedy }}
{{- end }}
{{- range $key := list "token" "password" }}
{{- if include "pyrotee.isClear" (get (($config.shared | default dict).auth | default dict) $key) }}
- config.shared.auth.{{ $key }} {{ $remedy }}
{{- end }}
{{- end }}
{{- range $name, $target := (index $config "remote-write" | default dict).targets | default dict }}
{{- range $key := list "auth-token" "basic-auth-password" }}
{{- if include "pyrotee.isClear" (get ($target | default dict) $key) }}
- config.remote-write.targets.{{ $name }}.{{ $key }} {{ $remedy }}
{{- end }}
{{- end }}
{{- range $header, $value := ($target | default dict).headers | default dict }}
{{- if and (include "pyrotee.isSecretName" $header) (include "pyrotee.isClear" $value) }}
- config.remote-write.targets.{{ $name }}.headers.{{ $header }} {{ $remedy }}
{{- end }}
{{- end }}
{{- if regexMatch "^https?://[^/@:]*:[^/@$]+@" (($target | default dict).address | toString) }}
- config.remote-write.targets.{{ $name }}.address holds a password that would stand readable in a ConfigMap; write ${file:/run/secrets/pyrotee/NAME} for it and NAME into secrets.values, or into a Secret named by secrets.existing
{{- end }}
{{- end }}
{{- range include "pyrotee.tpl" (dict "value" .Values.extraEnv "root" .) | fromYamlArray }}
{{- if and (include "pyrotee.isSecretName" .name) (include "pyrotee.isClear" .value) }}
- extraEnv has the value of {{ .name }}, which would stand readable in the pod; write it into secrets.values, or into a Secret of yours and name that in valueFrom.secretKeyRef
{{- end }}
{{- end }}
{{- if not (or .Values.secrets.existing .Values.existingConfigMap) }}
{{- $prefix := printf "${file:%s/" (include "pyrotee.secretsDir" .) }}
{{- $text := include "pyrotee.config" . | replace "$$" "" }}
{{- range regexFindAll (printf "%s[^}]*\\}" (regexQuoteMeta $prefix)) $text -1 | uniq }}
{{- $key := . | trimPrefix $prefix | trimSuffix "}" }}
{{- if not (hasKey $.Values.secrets.values $key) }}
- config uses {{ . }}, a file that no Secret has; add {{ $key }} to secrets.values, or name a Secret that has it in secrets.existing
{{- end }}
{{- end }}
{{- end }}
{{- /* Variables of Secrets and ConfigMaps outside of the chart are not visible here, so they count as set. */}}
{{- if not (or .Values.secrets.existing .Values.extraEnvFrom .Values.existingConfigMap) }}
{{- $known := concat (list "HOSTNAME" "PATH" "POD_NAME" "POD_NAMESPACE" "NODE_NAME") (keys .Values.secrets.values) }}
{{- range include "pyrotee.tpl" (dict "value" .Values.extraEnv "root" .) | fromYamlArray }}
{{- $known = append $known .name }}
{{- end }}
{{- $text := include "pyrotee.config" . | replace "$$" "" }}
{{- range regexFindAll "\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}" $text -1 | uniq }}
{{- $variable := . | trimPrefix "${" | trimSuffix "}" }}
{{- if not (or (has $variable $known) (hasPrefix "KUBERNETES_" $variable)) }}
- config uses {{ . }}, which nothing sets; add {{ $variable }} to secrets.values or extraEnv, name a Secret that has it in secrets.existing, or give it a default, ${{ "{" }}{{ $variable }}:-…}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Whether a value has a text, and none of it comes from a file or a variable. */}}
{{- define "pyrotee.isClear" -}}
{{- if not (kindIs "invalid" .) }}
{{- $text := toString . | replace "$$" "" }}
{{- if and $text (not (contains "${" $text)) }}true{{ end }}
{{- end }}
{{- end }}

{{/* Whether a header or a variable of this name usually has a secret. */}}
{{- define "pyrotee.isSecretName" -}}
{{- if regexMatch "^(authorization|cookie|proxyauthorization)$|(apikey|accesskey|authkey|token|secret|password|passwd|credentials?)$" (regexReplaceAll "[-_.]" (lower .) "") }}true{{ end }}
{{- end }}

{{- define "pyrotee.validate.shared" -}}
{{- $shared := (fromYaml (include "pyrotee.config" .)).shared | default dict }}
{{- if and .Values.shared.credsSecretName (not .Values.existingConfigMap) (not $shared.servers) }}
- shared.credsSecretName is set, and config.shared.servers names no server; add the servers of NATS, such as tls://nats.nats.svc:4222, or remove it
{{- end }}
{{- if and .Values.shared.credsSecretName (gt (len ($shared.auth | default dict)) 1) }}
- shared.credsSecretName is one way to log in at NATS, and config.shared.auth has another; remove one of both
{{- end }}
{{- if and $shared .Values.config.spool }}
- config.shared and config.spool exclude each other; remove config.spool, and name its former directory in config.shared.drain-spool if profiles are left in it
{{- end }}
{{- end }}

{{- define "pyrotee.validate.spool" -}}
{{- $volume := include "pyrotee.spool.volume" . }}
{{- if and (eq $volume "claim") (eq .Values.mode "deployment") (not .Values.spool.existingClaim) }}
- spool.volume is claim, and a Deployment makes no claims; set mode: statefulset, which makes one for each relay, or name yours in spool.existingClaim
{{- end }}
{{- if and (eq $volume "claim") (has .Values.mode (list "daemonset" "sidecar")) }}
- spool.volume is claim, which relays in mode {{ .Values.mode }} would have to share; set spool.volume: emptyDir, or bring a volume with extraVolumes, extraVolumeMounts and config.spool.dir
{{- end }}
{{- if and (eq $volume "claim") .Values.spool.existingClaim (has .Values.mode (list "deployment" "statefulset")) (or (gt (int .Values.replicas) 1) .Values.autoscaling.enabled .Values.autoscaling.external) }}
- spool.existingClaim is one volume, and a spool belongs to one relay; set replicas: 1 without autoscaling, or mode: statefulset without spool.existingClaim, for a claim of each relay's own
{{- end }}
{{- if and .Values.spool.existingClaim (ne $volume "claim") }}
- spool.existingClaim is set, and spool.volume is {{ $volume }}; set spool.volume: claim, or remove spool.existingClaim
{{- end }}
{{- range $key := list "spool.dir" "dead-letters.dir" "shared.drain-spool" }}
{{- $dir := include "pyrotee.config.get" (list $ $key "") }}
{{- $mounted := and (ne $volume "none") (hasPrefix "/var/lib/pyrotee/" $dir) }}
{{- range include "pyrotee.tpl" (dict "value" $.Values.extraVolumeMounts "root" $) | fromYamlArray }}
{{- if hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) (printf "%s/" $dir) }}{{ $mounted = true }}{{ end }}
{{- end }}
{{- if and $dir (not $mounted) }}
{{- if eq $volume "none" }}
- config.{{ $key }} is {{ $dir }}, on the read-only root of the container; set spool.volume: emptyDir or claim and remove it, or mount a volume there with extraVolumeMounts
{{- else }}
- config.{{ $key }} is {{ $dir }}, and the volume of spool is mounted at /var/lib/pyrotee; remove it, or write a folder below that
{{- end }}
{{- end }}
{{- end }}
{{- if ne $volume "none" }}
{{- $most := include "pyrotee.bytes" (include "pyrotee.config.get" (list . "spool.max-bytes" "1GiB")) }}
{{- $letters := include "pyrotee.bytes" (include "pyrotee.config.get" (list . "dead-letters.max-bytes" "64MiB")) }}
{{- $size := include "pyrotee.bytes" .Values.spool.size }}
{{- if and $most $letters $size (gt (mul 20 (add (int64 $most) (int64 $letters))) (mul 19 (int64 $size))) }}
- config.spool.max-bytes and config.dead-letters.max-bytes come to more than nineteen twentieths of spool.size ({{ .Values.spool.size }}), and a full disk stops the spool; raise spool.size, or remove them, which then follow it
{{- end }}
{{- end }}
{{- end }}

{{- define "pyrotee.validate.listeners" -}}
{{- $ports := dict }}
{{- range $key, $default := dict "listen" ":4040" "admin" ":4041" }}
{{- $text := include "pyrotee.config.get" (list $ $key $default) }}
{{- $port := include "pyrotee.port" (list $ $key $default) }}
{{- if or (not $port) (eq $port "0") }}
- config.{{ $key }} is {{ $text }}, in which no port can be read; write it as :{{ trimPrefix ":" $default }}
{{- end }}
{{- if and (regexMatch "^(127\\.|localhost:|\\[::1\\])" $text) (or (eq $key "admin") (include "pyrotee.isWorkload" $)) }}
- config.{{ $key }} is {{ $text }}, which {{ eq $key "admin" | ternary "the probes of Kubernetes cannot" "no Service can" }} reach; write :{{ $port }}
{{- end }}
{{- $_ := set $ports $key $port }}
{{- end }}
{{- if eq $ports.listen $ports.admin }}
- config.listen and config.admin have the same port, {{ $ports.listen }}; metrics and status must stay apart: change one
{{- end }}
{{- end }}

{{- define "pyrotee.validate.resources" -}}
{{- $limit := (.Values.resources.limits | default dict).memory | default "" }}
{{- $request := (.Values.resources.requests | default dict).memory | default "" }}
{{- $limitBytes := include "pyrotee.bytes" $limit }}
{{- $requestBytes := include "pyrotee.bytes" $request }}
{{- $bound := include "pyrotee.memory.bound" . }}
{{- if and $limitBytes $bound (lt (int64 $limitBytes) (int64 $bound)) }}
- resources.limits.memory is {{ $limit }}, and with config.memory-limit {{ include "pyrotee.config.get" (list . "memory-limit" "256MiB") }} the relay may take {{ div (add (int64 $bound) 1048575) 1048576 }}Mi: it would be killed; lower config.memory-limit, or remove resources.limits.memory, which then is derived
{{- end }}
{{- if and $limitBytes $requestBytes (gt (int64 $requestBytes) (int64 $limitBytes)) }}
- resources.requests.memory ({{ $request }}) is above resources.limits.memory ({{ $limit }}), which Kubernetes refuses; lower the request
{{- end }}
{{- end }}

{{- define "pyrotee.validate.stop" -}}
{{- if and .Values.terminationGracePeriodSeconds (include "pyrotee.isWorkload" .) }}
{{- $grace := include "pyrotee.config.get" (list . "shutdown.grace" "25s") }}
{{- $needed := add (include "pyrotee.seconds" $grace | default "25" | int) (include "pyrotee.preStopSeconds" . | int) }}
{{- if le (int .Values.terminationGracePeriodSeconds) (int $needed) }}
- terminationGracePeriodSeconds is {{ .Values.terminationGracePeriodSeconds }}, and the relay is killed before config.shutdown.grace ({{ $grace }}) and preStopSeconds ({{ include "pyrotee.preStopSeconds" . }}) are over; write more than {{ $needed }}, remove it, or lower config.shutdown.grace
{{- end }}
{{- end }}
{{- end }}

{{- define "pyrotee.validate.mode" -}}
{{- if eq .Values.mode "sidecar" }}
{{- range $key, $on := dict "ingress" .Values.ingress.enabled "httpRoute" .Values.httpRoute.enabled "autoscaling" (or .Values.autoscaling.enabled .Values.autoscaling.external) "networkPolicy" .Values.networkPolicy.enabled "hostNetwork" .Values.hostNetwork }}
{{- if $on }}
- {{ $key }} is on, and in mode sidecar the pod is the application's; turn {{ $key }} off here, and set it up for the application
{{- end }}
{{- end }}
{{- if .Values.monitoring.serviceMonitor.enabled }}
- monitoring.serviceMonitor is enabled, and sidecars have no Service; use monitoring.podMonitor
{{- end }}
{{- if and .Values.sidecar.native (semverCompare "<1.29.0-0" .Capabilities.KubeVersion.Version) }}
- sidecar.native needs Kubernetes 1.29 and this is {{ .Capabilities.KubeVersion.Version }}; set sidecar.native: false and move the template to `containers`, or pass the right --kube-version
{{- end }}
{{- end }}
{{- if and .Values.daemonset.hostPort (ne .Values.mode "daemonset") }}
- daemonset.hostPort is set in mode {{ .Values.mode }}, where two pods on a node would need the same port; set mode: daemonset, or remove it
{{- end }}
{{- end }}

{{- define "pyrotee.validate.scaling" -}}
{{- $scaling := .Values.autoscaling }}
{{- if and $scaling.enabled $scaling.external }}
- autoscaling.enabled and autoscaling.external are both on, and two autoscalers would scale one workload; turn one off
{{- end }}
{{- if and (or $scaling.enabled $scaling.external) (eq .Values.mode "daemonset") }}
- autoscaling is on, and a DaemonSet has one relay on each node; turn it off, or set mode: deployment
{{- end }}
{{- if and $scaling.enabled (gt (int $scaling.minReplicas) (int $scaling.maxReplicas)) }}
- autoscaling.minReplicas is above autoscaling.maxReplicas; lower it
{{- end }}
{{- if and $scaling.enabled (not (or $scaling.targetCPUUtilizationPercentage $scaling.metrics)) }}
- autoscaling has no metric; set autoscaling.targetCPUUtilizationPercentage or autoscaling.metrics
{{- end }}
{{- if and $scaling.enabled $scaling.targetCPUUtilizationPercentage (not (.Values.resources.requests | default dict).cpu) }}
- autoscaling.targetCPUUtilizationPercentage is a part of the CPU request, and there is none; set resources.requests.cpu
{{- end }}
{{- end }}

{{- define "pyrotee.validate.budget" -}}
{{- $budget := .Values.podDisruptionBudget }}
{{- $least := include "pyrotee.leastReplicas" . | int }}
{{- if and (not (kindIs "invalid" $budget.minAvailable)) (not (kindIs "invalid" $budget.maxUnavailable)) }}
- podDisruptionBudget.minAvailable and podDisruptionBudget.maxUnavailable are both set, and Kubernetes takes one of them; remove one
{{- end }}
{{- $blocks := or (eq (toString $budget.maxUnavailable) "0") (eq (toString $budget.maxUnavailable) "0%") (eq (toString $budget.minAvailable) "100%") }}
{{- if kindIs "float64" $budget.minAvailable }}
{{- $blocks = or $blocks (ge (int $budget.minAvailable) $least) }}
{{- end }}
{{- if and $budget.enabled (gt $least 1) $blocks }}
- podDisruptionBudget lets no relay of {{ $least }} stop, and no node could be drained; set minAvailable to at most {{ sub $least 1 }}, or maxUnavailable to at least 1
{{- end }}
{{- end }}

{{- define "pyrotee.validate.network" -}}
{{- if .Values.hostNetwork }}
{{- $port := include "pyrotee.port.listen" . }}
{{- if and .Values.daemonset.hostPort (ne (toString .Values.daemonset.hostPort) $port) }}
- daemonset.hostPort is {{ .Values.daemonset.hostPort }}, and with hostNetwork the relay listens at port {{ $port }} of the node itself; remove daemonset.hostPort, or change config.listen
{{- end }}
{{- if .Values.networkPolicy.enabled }}
- networkPolicy has no effect on pods with hostNetwork; turn one of both off
{{- end }}
{{- end }}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) }}
- ingress.hosts is empty; name a host, such as {host: profiles.example.com}
{{- end }}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) }}
- httpRoute.parentRefs is empty; name your Gateway, such as {name: gateway}
{{- end }}
{{- if and .Values.networkPolicy.enabled .Values.networkPolicy.egress.enabled .Values.existingConfigMap (not .Values.networkPolicy.egress.extra) }}
- networkPolicy.egress cannot read the ports of targets in existingConfigMap; write the rules into networkPolicy.egress.extra
{{- end }}
{{- end }}

{{- define "pyrotee.validate.monitoring" -}}
{{- $monitoring := .Values.monitoring }}
{{- if and $monitoring.serviceMonitor.enabled (not .Values.adminService.enabled) }}
- monitoring.serviceMonitor scrapes the admin Service, and adminService.enabled is false; turn it on, or use monitoring.podMonitor
{{- end }}
{{- if and $monitoring.serviceMonitor.enabled $monitoring.podMonitor.enabled }}
- monitoring.serviceMonitor and monitoring.podMonitor are both enabled, and every relay would be scraped twice; turn one off
{{- end }}
{{- if and $monitoring.rules.enabled (not (.Files.Get "rules/pyrotee.yaml")) }}
- monitoring.rules is enabled, and this chart has no rules/pyrotee.yaml; package it from a whole checkout, or turn it off
{{- end }}
{{- if and $monitoring.dashboards.enabled (not (.Files.Glob "dashboards/*.json")) }}
- monitoring.dashboards is enabled, and this chart has no dashboards/*.json; package it from a whole checkout, or turn it off
{{- end }}
{{- end }}
