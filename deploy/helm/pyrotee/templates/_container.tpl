{{/*
The relay's container, as one element of a list, and its volumes.
Call pyrotee.container with (dict "root" . "form" F): `main` for a workload of this chart, `native` for an init container
that keeps running, `ordinary` for a sidecar among an application's containers.
*/}}

{{- define "pyrotee.container" -}}
{{- $root := .root }}
{{- $values := .root.Values }}
{{- $scheme := include "pyrotee.tls.admin" .root | empty | ternary "" ", scheme: HTTPS" -}}
- name: pyrotee
  image: {{ include "pyrotee.image" $root | quote }}
  {{- with $values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  {{- if eq .form "native" }}
  # Starts before the application, and gets its signal after the application's containers are gone.
  restartPolicy: Always
  {{- end }}
  args:
    - run
    - --config
    - {{ printf "/etc/pyrotee/%s" (include "pyrotee.configKey" $root) | quote }}
    {{- with include "pyrotee.tpl" (dict "value" $values.extraArgs "root" $root) }}
    {{- . | nindent 4 }}
    {{- end }}
  env:
    {{- include "pyrotee.env" $root | nindent 4 }}
  {{- with include "pyrotee.envFrom" $root }}
  envFrom:
    {{- . | trim | nindent 4 }}
  {{- end }}
  ports:
    - name: pyrotee
      containerPort: {{ include "pyrotee.port.listen" $root }}
      {{- with and (eq $values.mode "daemonset") $values.daemonset.hostPort }}
      hostPort: {{ . | int }}
      {{- end }}
    - name: pyrotee-admin
      containerPort: {{ include "pyrotee.port.admin" $root }}
  {{- with $values.probes.startup }}
  startupProbe:
    httpGet: { path: /-/ready, port: pyrotee-admin{{ $scheme }} }
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq .form "main" }}
  {{- with $values.probes.readiness }}
  readinessProbe:
    httpGet: { path: /-/ready, port: pyrotee-admin{{ $scheme }} }
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- end }}
  {{- with $values.probes.liveness }}
  livenessProbe:
    httpGet: { path: /-/healthy, port: pyrotee-admin{{ $scheme }} }
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq .form "main" }}
  {{- with include "pyrotee.preStopSeconds" $root | int }}
  lifecycle:
    preStop:
      # Clients learn that the pod goes before it stops to listen.
      sleep:
        seconds: {{ . }}
  {{- end }}
  {{- end }}
  {{- with include "pyrotee.resources" $root }}
  resources:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with $values.securityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  # A configuration with faults is told in the pod's status.
  terminationMessagePolicy: FallbackToLogsOnError
  volumeMounts:
    - name: pyrotee-config
      mountPath: /etc/pyrotee
      readOnly: true
    {{- if include "pyrotee.secretNames" $root }}
    - name: pyrotee-secrets
      mountPath: {{ include "pyrotee.secretsDir" $root }}
      readOnly: true
    {{- end }}
    {{- if include "pyrotee.tls.sources" $root }}
    - name: pyrotee-tls
      mountPath: {{ include "pyrotee.tlsDir" $root }}
      readOnly: true
    {{- end }}
    {{- if $values.shared.credsSecretName }}
    - name: pyrotee-shared
      mountPath: {{ include "pyrotee.sharedDir" $root }}
      readOnly: true
    {{- end }}
    {{- if ne (include "pyrotee.spool.volume" $root) "none" }}
    - name: pyrotee-spool
      mountPath: /var/lib/pyrotee
    {{- end }}
    {{- with include "pyrotee.tpl" (dict "value" $values.extraVolumeMounts "root" $root) }}
    {{- . | nindent 4 }}
    {{- end }}
{{- end }}

{{/* Variables of the chart. They come before extraEnv, so that extraEnv may use them. */}}
{{- define "pyrotee.env" -}}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
- name: POD_NAMESPACE
  valueFrom: { fieldRef: { fieldPath: metadata.namespace } }
- name: NODE_NAME
  valueFrom: { fieldRef: { fieldPath: spec.nodeName } }
{{- with include "pyrotee.configKey" . }}
{{- if ne . "pyrotee.yaml" }}
# The image names /etc/pyrotee/pyrotee.yaml. Commands in the container read the file that this variable names.
- name: PYROTEE_CONFIG
  value: {{ printf "/etc/pyrotee/%s" . | quote }}
{{- end }}
{{- end }}
{{- if and .Values.existingConfigMap (ne (include "pyrotee.spool.volume" .) "none") (not .Values.config.shared) }}
# Overrides the file, because the chart decides where the volume is mounted.
- name: PYROTEE__SPOOL__DIR
  value: {{ include "pyrotee.config.get" (list . "spool.dir" "") | quote }}
{{- end }}
{{- with include "pyrotee.tpl" (dict "value" .Values.extraEnv "root" .) }}
{{ . }}
{{- end }}
{{- end }}

{{- define "pyrotee.envFrom" -}}
{{- $sources := list }}
{{- range include "pyrotee.secretNames" . | fromYamlArray }}
{{- $sources = append $sources (dict "secretRef" (dict "name" .)) }}
{{- end }}
{{- with $sources }}
{{- toYaml . }}
{{- end -}}
{{- with include "pyrotee.tpl" (dict "value" .Values.extraEnvFrom "root" .) }}
{{ . }}
{{- end }}
{{- end }}

{{- define "pyrotee.resources" -}}
{{- $resources := deepCopy .Values.resources }}
{{- $limits := $resources.limits | default dict }}
{{- $requests := $resources.requests | default dict }}
{{- if and .Values.deriveMemoryLimit (not $limits.memory) }}
{{- with include "pyrotee.memory.bound" . }}
{{- /* Kubernetes refuses a request above its limit. */ -}}
{{- $bytes := max (int64 .) (int64 (include "pyrotee.bytes" (default "0" $requests.memory) | default "0")) }}
{{- $_ := set $limits "memory" (printf "%dMi" (div (add $bytes 1048575) 1048576)) }}
{{- end }}
{{- end }}
{{- if and (eq (include "pyrotee.spool.volume" .) "emptyDir") (not (index $requests "ephemeral-storage")) }}
{{- /* Without a request the node evicts the pod first when other pods fill its disk. */ -}}
{{- $_ := set $requests "ephemeral-storage" .Values.spool.size }}
{{- end }}
{{- with $limits }}{{ $_ := set $resources "limits" . }}{{ end }}
{{- with $requests }}{{ $_ := set $resources "requests" . }}{{ end }}
{{- with $resources }}
{{- toYaml . }}
{{- end }}
{{- end }}

{{/* The volumes. Kubernetes updates ConfigMaps and Secrets only where they are mounted as directories, not with `subPath`. */}}
{{- define "pyrotee.volumes" -}}
- name: pyrotee-config
  configMap:
    name: {{ include "pyrotee.configMapName" . }}
{{- with include "pyrotee.secretNames" . | fromYamlArray }}
- name: pyrotee-secrets
  projected:
    sources:
      {{- range . }}
      - secret:
          name: {{ . | quote }}
      {{- end }}
{{- end }}
{{- with include "pyrotee.tls.sources" . }}
- name: pyrotee-tls
  projected:
    sources:
      {{- . | trim | nindent 6 }}
{{- end }}
{{- with .Values.shared.credsSecretName }}
- name: pyrotee-shared
  secret:
    secretName: {{ tpl . $ | quote }}
    items:
      - { key: {{ $.Values.shared.credsKey }}, path: nats.creds }
{{- end }}
{{- $volume := include "pyrotee.spool.volume" . }}
{{- if eq $volume "emptyDir" }}
- name: pyrotee-spool
  emptyDir:
    sizeLimit: {{ .Values.spool.size }}
{{- else if and (eq $volume "claim") .Values.spool.existingClaim }}
- name: pyrotee-spool
  persistentVolumeClaim:
    claimName: {{ tpl .Values.spool.existingClaim . }}
{{- end }}
{{- with include "pyrotee.tpl" (dict "value" .Values.extraVolumes "root" .) }}
{{ . }}
{{- end }}
{{- end }}
