// The README's picture, of the real page before a real incident: `ctest` knows the environment,
//   SAGE_ANALYZER=... SAGE_SHOP_AGENTS=... SAGE_CHROMIUM=... node picture.js OUT.png
import { Analyzer, launch } from "./analyzer.js";

const analyzer = new Analyzer();
await analyzer.start();
const browser = await launch();
try {
  await analyzer.reachDiagnosis();
  const page = await browser.newPage({ viewport: { width: 1180, height: 830 }, deviceScaleFactor: 1.5 });
  await page.goto(`${analyzer.url}#/problems`);
  await page.locator("article.incident .ranking").waitFor();
  await page.locator("svg.spark").first().waitFor();
  await page.screenshot({ path: process.argv[2] });
} finally {
  await browser.close();
  await analyzer.stop();
}
