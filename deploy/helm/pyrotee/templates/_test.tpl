{{/* The pod of `helm test`. */}}

{{/* Not those of the relay, or its Services would send profiles to the test. */}}
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
