{{/*
Names that values have in other charts, and what they are called here. values.schema.json lets these names pass as `otherName`,
so that the chart can tell users the right name.
*/}}

{{- define "pyrotee.otherNames" -}}
additionalLabels: commonLabels
annotations: workloadAnnotations
args: extraArgs
autoscaling.targetCPU: autoscaling.targetCPUUtilizationPercentage
autoscaling.targetMemoryUtilizationPercentage: autoscaling.metrics
configMap: existingConfigMap
configuration: config
containerSecurityContext: securityContext
dashboards: monitoring.dashboards
deploymentAnnotations: workloadAnnotations
deploymentStrategy: updateStrategy
env: extraEnv
envFrom: extraEnvFrom
existingSecret: secrets.existing
extraDeploy: extraObjects
extraEnvVars: extraEnv
extraManifests: extraObjects
gateway: httpRoute
hostPort: daemonset.hostPort
hpa: autoscaling
image.imagePullPolicy: image.pullPolicy
image.name: image.repository
image.pullSecrets: imagePullSecrets
image.pullpolicy: image.pullPolicy
image.sha: image.digest
image.version: image.tag
imagePullPolicy: image.pullPolicy
ingress.host: ingress.hosts
ingress.hostname: ingress.hosts
ingress.ingressClassName: ingress.className
ingress.path: ingress.hosts
initContainers: extraInitContainers
kind: mode
labels: commonLabels
livenessProbe: probes.liveness
metrics: monitoring
namespace: namespaceOverride
pdb: podDisruptionBudget
persistence: spool
podMonitor: monitoring.podMonitor
priorityClass: priorityClassName
prometheusRule: monitoring.rules
pullPolicy: image.pullPolicy
readinessProbe: probes.readiness
remoteWrite: config.remote-write
replicaCount: replicas
scheduler: schedulerName
secret: secrets.values
service.clusterIP: service.spec
service.externalTrafficPolicy: service.spec
service.loadBalancerIP: service.spec
service.loadBalancerSourceRanges: service.spec
serviceMonitor: monitoring.serviceMonitor
sidecars: extraContainers
startupProbe: probes.startup
storageClass: spool.storageClass
strategy: updateStrategy
targets: config.remote-write.targets
tests: test
tls.certManager: extraObjects
tls.certificatesSecret: tls.listen.secretName
tls.client: tls.targets
tls.enabled: tls.listen.secretName
tls.existingSecret: tls.listen.secretName
tls.secretName: tls.listen.secretName
topologySpread: topologySpreadConstraints
upstream: config.upstream
volumeMounts: extraVolumeMounts
volumes: extraVolumes
{{- end }}

{{- define "pyrotee.validate.names" -}}
{{- range $path, $name := include "pyrotee.otherNames" . | fromYaml }}
{{- $parts := splitList "." $path }}
{{- $at := $.Values }}
{{- range initial $parts }}{{ $at = get $at . | default dict }}{{ end }}
{{- if and (kindIs "map" $at) (hasKey $at (last $parts)) }}
- {{ $path }} is no value of this chart; did you mean {{ $name }}?
{{- end }}
{{- end }}
{{- range $key := keys .Values.secrets | sortAlpha }}
{{- if not (has $key (list "existing" "values")) }}
- secrets.{{ $key }} is no value of this chart; did you mean secrets.values.{{ $key }}?
{{- end }}
{{- end }}
{{- end }}
