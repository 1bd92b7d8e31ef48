{{/* The pod template of Deployment, StatefulSet and DaemonSet. */}}

{{- define "pyrotee.podTemplate" -}}
metadata:
  {{- $annotations := include "pyrotee.tpl" (dict "value" .Values.podAnnotations "root" .) }}
  {{- with list (include "pyrotee.checksum" .) $annotations | compact | join "\n" }}
  annotations:
    {{- . | nindent 4 }}
  {{- end }}
  labels:
    {{- /* Without the chart's version, because a new chart version alone must not restart the pods. */}}
    {{- include "pyrotee.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: relay
    app.kubernetes.io/part-of: pyrotee
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with include "pyrotee.tpl" (dict "value" .Values.podLabels "root" .) }}
    {{- . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "pyrotee.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with include "pyrotee.imagePullSecrets" . }}
  imagePullSecrets:
    {{- . | trim | nindent 4 }}
  {{- end }}
  terminationGracePeriodSeconds: {{ default (include "pyrotee.stopSeconds" .) .Values.terminationGracePeriodSeconds | int }}
  {{- with .Values.podSecurityContext }}
  securityContext:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.hostNetwork }}
  hostNetwork: true
  {{- end }}
  {{- with default (.Values.hostNetwork | ternary "ClusterFirstWithHostNet" "") .Values.dnsPolicy }}
  dnsPolicy: {{ . }}
  {{- end }}
  {{- with .Values.schedulerName }}
  schedulerName: {{ . }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "pyrotee.tpl" (dict "value" .Values.affinity "root" .) }}
  affinity:
    {{- . | nindent 4 }}
  {{- end }}
  {{- with .Values.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    {{- $labels := dict "labelSelector" (dict "matchLabels" (fromYaml (include "pyrotee.selectorLabels" $))) }}
    - {{ merge (deepCopy .) (hasKey . "labelSelector" | ternary dict $labels) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
  {{- with .Values.dnsConfig }}
  dnsConfig:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "pyrotee.tpl" (dict "value" .Values.extraInitContainers "root" .) }}
  initContainers:
    {{- . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "pyrotee.container" (dict "root" . "form" "main") | nindent 4 }}
    {{- with include "pyrotee.tpl" (dict "value" .Values.extraContainers "root" .) }}
    {{- . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "pyrotee.volumes" . | nindent 4 }}
{{- end }}

{{/* The number of replicas; left out where an autoscaler decides. */}}
{{- define "pyrotee.replicas" -}}
{{- if not (or .Values.autoscaling.enabled .Values.autoscaling.external) -}}
replicas: {{ .Values.replicas }}
{{- end }}
{{- end }}
