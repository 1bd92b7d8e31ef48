{{/*
Templates for the chart of an application that has this chart as a dependency, with `mode: sidecar`. Each template needs the
context of the dependency: {{ include "pyrotee.sidecar" .Subcharts.pyrotee }}. README.md shows all templates in a Deployment.
*/}}

{{/* The relay's container: the first element for `initContainers`, or with `sidecar.native: false` an element for `containers`. */}}
{{- define "pyrotee.sidecar" -}}
{{- include "pyrotee.container" (dict "root" . "form" (.Values.sidecar.native | ternary "native" "ordinary")) }}
{{- end }}

{{/* Elements for the pod's `volumes`. */}}
{{- define "pyrotee.sidecar.volumes" -}}
{{- include "pyrotee.volumes" . }}
{{- end }}

{{/* For the pod's annotations: with `restartOnChange`, restarts the pod when the configuration changes. Else empty. */}}
{{- define "pyrotee.sidecar.annotations" -}}
{{- include "pyrotee.checksum" . }}
{{- end }}

{{/* For the pod's labels: the label by which the PodMonitor finds the pod. */}}
{{- define "pyrotee.sidecar.labels" -}}
pyrotee-sidecar: {{ include "pyrotee.fullname" . }}
{{- end }}

{{/* Seconds that the relay may take to stop after the application: add them to the application's own time. */}}
{{- define "pyrotee.sidecar.stopSeconds" -}}
{{- include "pyrotee.stopSeconds" . }}
{{- end }}
