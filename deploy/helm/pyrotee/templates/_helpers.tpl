{{/* Names, labels and image of the objects. */}}

{{- define "pyrotee.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of objects, short enough for suffixes such as -headless. */}}
{{- define "pyrotee.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "pyrotee.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "pyrotee.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The namespace of all objects. */}}
{{- define "pyrotee.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride }}
{{- end }}

{{/* The labels of selectors. They never change in a release's life, because selectors and claim templates cannot be edited. */}}
{{- define "pyrotee.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pyrotee.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pyrotee.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{ include "pyrotee.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: relay
app.kubernetes.io/part-of: pyrotee
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "pyrotee.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "pyrotee.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "pyrotee.image" -}}
{{- $image := .Values.image }}
{{- $registry := default $image.registry (.Values.global | default dict).imageRegistry }}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}
{{- $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{/* The pull secrets as a list; empty without any. */}}
{{- define "pyrotee.imagePullSecrets" -}}
{{- range concat ((.Values.global | default dict).imagePullSecrets | default list) .Values.imagePullSecrets }}
- name: {{ if kindIs "map" . }}{{ .name }}{{ else }}{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* The metadata of the workload: name, namespace, labels and annotations. */}}
{{- define "pyrotee.workloadMetadata" -}}
name: {{ include "pyrotee.fullname" . }}
namespace: {{ include "pyrotee.namespace" . }}
labels:
  {{- include "pyrotee.labels" . | nindent 2 }}
{{- with include "pyrotee.tpl" (dict "value" .Values.workloadAnnotations "root" .) }}
annotations:
  {{- . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A value as YAML, with its templates rendered. Call with (dict "value" V "root" .). */}}
{{- define "pyrotee.tpl" -}}
{{- if .value }}
{{- tpl (kindIs "string" .value | ternary .value (toYaml .value)) .root }}
{{- end }}
{{- end }}

{{- define "pyrotee.isWorkload" -}}
{{- if ne .Values.mode "sidecar" }}true{{ end }}
{{- end }}

{{/* The least number of running relays; 0 if the chart does not determine the number. */}}
{{- define "pyrotee.leastReplicas" -}}
{{- if has .Values.mode (list "daemonset" "sidecar") }}0
{{- else if or .Values.autoscaling.enabled .Values.autoscaling.external }}{{ .Values.autoscaling.minReplicas }}
{{- else }}{{ .Values.replicas }}
{{- end }}
{{- end }}
