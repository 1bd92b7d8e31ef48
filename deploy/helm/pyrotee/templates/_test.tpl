{{/* The pod of `helm test`. */}}

{{/* Labels of the test's pod. They differ from the relay's labels, because the relay's Services must not select the test. */}}
{{- define "pyrotee.testLabels" -}}
app.kubernetes.io/name: {{ include "pyrotee.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "pyrotee.testContainer" -}}
image: {{ include "pyrotee.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
resources:
  requests:
    cpu: 10m
    memory: 16Mi
  limits:
    memory: 64Mi
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end }}
