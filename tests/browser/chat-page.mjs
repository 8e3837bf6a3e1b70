// Uses the chat page in a real browser: sends, renders, keeps, edits, stops. Run by chat-page.sh.
import { chromium } from 'playwright-core';
const [url, pictures] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
const page = await browser.newPage({ viewport: { width: 1100, height: 760 }, colorScheme: 'light' });
const problems = [], foreign = [];
page.on('pageerror', error => problems.push(String(error)));
page.on('dialog', dialog => { problems.push('dialog: ' + dialog.message()); dialog.dismiss(); });
page.on('request', request => { if (!request.url().startsWith(url) && !request.url().startsWith('blob:')) foreign.push(request.url()); });
const check = (condition, what) => { if (!condition) problems.push('failed: ' + what); };
const ready = count => page.waitForFunction(n => document.getElementById('send').textContent === 'Send' && document.querySelectorAll('.turn.assistant').length === n, count, { timeout: 120000 });

await page.goto(url);
await page.waitForFunction(() => document.getElementById('model').textContent.length > 0);
await page.fill('#input', 'Write a short Python function that adds two numbers.');
await page.press('#input', 'Enter');
await ready(1);
check(await page.locator('.turn.assistant .text').innerText().then(text => text.length > 10), 'an answer is shown');
check(/tokens\/s/.test(await page.locator('#state').innerText()), 'the speed is shown');
if (pictures) await page.screenshot({ path: pictures + '/chat.png' });

await page.reload();
check(await page.locator('.turn').count() === 2, 'the conversation is kept');
await page.evaluate(() => {
  current.messages.push({ role: 'user', content: '<b>not bold</b>' }, {
    role: 'assistant', reasoning_content: 'Use the formula.', content: 'It is $x^2$ and `a$b`.\n\n<img src=x onerror=alert(1)><script>alert(2)</script>',
    tool_calls: [{ id: 'c1', type: 'function', function: { name: 'add', arguments: '{"a":1}' } }],
  });
  save(); render();
});
check(await page.locator('.turn.assistant math').count() > 0, 'maths is shown');
check(await page.locator('.turn img, .turn script, .turn b').count() === 0, 'markup of messages is not run');
check(await page.locator('.call input').count() === 1, 'a call asks for its result');
if (pictures) { await page.click('#theme'); await page.screenshot({ path: pictures + '/dark.png' }); await page.click('#theme'); }

await page.locator('.turn.user button', { hasText: 'Edit' }).first().click();
check(await page.locator('.turn').count() === 0, 'editing goes back');
await page.fill('#input', 'Count from one to two hundred in words.');
await page.press('#input', 'Enter');
await page.waitForFunction(() => document.querySelector('.turn.assistant .text')?.textContent.length > 5, null, { timeout: 60000 });
await page.keyboard.press('Escape');
await ready(1);
await page.setViewportSize({ width: 390, height: 760 });
await page.waitForTimeout(400);
check(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it fits a phone');
if (pictures) await page.screenshot({ path: pictures + '/phone.png' });
check(foreign.length === 0, 'nothing comes from elsewhere: ' + foreign.join(' '));
await browser.close();
for (const problem of problems) console.error(problem);
console.log(problems.length === 0 ? 'chat page: ok' : `chat page: ${problems.length} problems`);
process.exit(problems.length === 0 ? 0 : 1);
