import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one node: FOLDER PORT. */
public class OpenSearchMain {
  public static void main(String[] args) throws Exception {
    int port = Integer.parseInt(args[1]);
    OpenSearchRunner runner = new OpenSearchRunner();
    runner.onBuild((number, settings) -> {
      settings.put("network.host", "127.0.0.1");
      settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
    });
    // The runner counts nodes from 1, and adds the number to the port.
    runner.build(
        newConfigs().clusterName("test").numOfNode(1).basePath(args[0]).baseHttpPort(port - 1));
    runner.ensureYellow();
    Thread.currentThread().join();
  }
}
